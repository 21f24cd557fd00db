# expect: clip ema
import keras
import numpy as np

sched = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=10, warmup_steps=2, warmup_target=0.2)
opt = keras.optimizers.Adam(sched, clipnorm=1.0, use_ema=True, ema_momentum=0.9, weight_decay=1e-4)
model = keras.Sequential([keras.layers.Dense(4, activation="gelu", kernel_regularizer="l2"), keras.layers.Dense(1)])
model.compile(opt, "mae", metrics=["mse"])
h = model.fit(np.random.rand(16, 3), np.random.rand(16), batch_size=4, epochs=2, verbose=0)
print("clip ema", int(opt.iterations))
