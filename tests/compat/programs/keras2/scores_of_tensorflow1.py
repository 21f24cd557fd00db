# expect: ['auc', 'iou', 'loss', 'val_auc', 'val_iou', 'val_loss']
# expect: same True
import numpy as np
import tensorflow as tf
from keras import backend as K
from keras.callbacks import EarlyStopping, ModelCheckpoint
from keras.layers import Conv2D, Input, Lambda
from keras.models import Model, load_model


def iou(y_true, y_pred):
    found = []
    for level in np.arange(0.5, 0.9, 0.2):
        value, update = tf.metrics.mean_iou(y_true, tf.to_int32(y_pred > level), 2)
        K.get_session().run(tf.local_variables_initializer())
        with tf.control_dependencies([update]):
            found.append(tf.identity(value))
    return K.mean(K.stack(found), axis=0)


def auc(y_true, y_pred):
    value = tf.metrics.auc(y_true, y_pred)[1]
    K.get_session().run(tf.local_variables_initializer())
    return value


pictures = Input((8, 8, 3))
scaled = Lambda(lambda x: x / 255)(pictures)
model = Model(inputs=[pictures], outputs=[Conv2D(1, (1, 1), activation='sigmoid')(scaled)])
model.compile(optimizer='adam', loss='binary_crossentropy', metrics=[iou, auc])
x = np.random.randint(0, 255, (10, 8, 8, 3)).astype(np.uint8)
y = np.random.rand(10, 8, 8, 1) > 0.5
watching = [EarlyStopping(patience=5), ModelCheckpoint('best.h5', save_best_only=True)]
history = model.fit(x, y.astype(np.bool), validation_split=0.2, batch_size=4, epochs=1, verbose=0, callbacks=watching)
print(sorted(history.history))
again = load_model('best.h5', custom_objects={'iou': iou, 'auc': auc})
print('same', np.allclose(again.predict(x), model.predict(x)))
