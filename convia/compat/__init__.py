"""Programs written for Keras 1, Keras 2, tf.keras or Keras 3 run unchanged: `import convia.compat` is all they need."""
