# expect: Reached 0.0 accuracy, cancelling
import tensorflow as tf
import numpy as np
import os, datetime


class myCallback(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs={}):
        if logs.get('accuracy') >= 0.0:
            print("\nReached 0.0 accuracy, cancelling training!")
            self.model.stop_training = True


def scheduler(epoch, lr):
    return lr if epoch < 10 else lr * tf.math.exp(-0.1)


model = tf.keras.models.Sequential([tf.keras.layers.Dense(4, activation='relu', input_shape=[3]), tf.keras.layers.Dense(1, activation='sigmoid')])
model.compile(optimizer=tf.optimizers.RMSprop(learning_rate=0.001), loss='binary_crossentropy', metrics=['accuracy'])
log_dir = "logs/fit/" + datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
cbs = [tf.keras.callbacks.TensorBoard(log_dir=log_dir, histogram_freq=1), myCallback(), tf.keras.callbacks.LearningRateScheduler(scheduler),
       tf.keras.callbacks.ModelCheckpoint(filepath='training_1/cp-{epoch:04d}.ckpt', save_weights_only=True, verbose=1),
       tf.keras.callbacks.EarlyStopping(monitor='val_loss', patience=3, restore_best_weights=True), tf.keras.callbacks.TerminateOnNaN(),
       tf.keras.callbacks.CSVLogger('log.csv'), tf.keras.callbacks.ReduceLROnPlateau(monitor='val_loss', factor=0.2, patience=2, min_lr=1e-6),
       tf.keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print('start', epoch)), tf.keras.callbacks.BackupAndRestore('bak')]
x, y = np.random.rand(16, 3), np.random.randint(0, 2, 16)
h = model.fit(x, y, epochs=5, validation_split=0.25, callbacks=cbs, verbose=0)
assert len(h.epoch) == 1
latest = tf.train.latest_checkpoint('training_1')
print('latest', latest)
w = [a.copy() for a in model.get_weights()]
model.layers[0].set_weights([a * 0 for a in model.layers[0].get_weights()])
model.load_weights(latest)
assert all(np.allclose(a, b) for a, b in zip(w, model.get_weights()))
model.load_weights('training_1/cp-0001.ckpt').expect_partial()
