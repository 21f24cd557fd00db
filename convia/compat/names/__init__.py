"""Names that only older eras had, one module per module of Keras; ``paths`` says where each belongs."""
