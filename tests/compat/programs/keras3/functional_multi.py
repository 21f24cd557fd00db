# expect: dict outputs
import keras
from keras import layers
import numpy as np

title = keras.Input(shape=(6,), name="title", dtype="int32")
tags = keras.Input(shape=(3,), name="tags")
t = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(title))
x = layers.concatenate([t, tags])
priority = layers.Dense(1, name="priority")(x)
department = layers.Dense(4, name="department")(x)
model = keras.Model(inputs={"title": title, "tags": tags}, outputs={"priority": priority, "department": department})
model.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss={"priority": keras.losses.BinaryCrossentropy(from_logits=True),
              "department": keras.losses.CategoricalCrossentropy(from_logits=True)}, loss_weights={"priority": 1.0, "department": 0.2})
data = {"title": np.random.randint(20, size=(8, 6)), "tags": np.random.randint(2, size=(8, 3)).astype("float32")}
model.fit(data, {"priority": np.random.random((8, 1)), "department": np.eye(4)[np.arange(8) % 4]}, epochs=1, batch_size=4, verbose=0)
p = model.predict(data)
print("dict outputs", sorted(p))
