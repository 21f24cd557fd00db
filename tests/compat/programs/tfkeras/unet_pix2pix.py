# expect: gen_total_loss
import tensorflow as tf

OUTPUT_CHANNELS = 3


def downsample(filters, size, apply_batchnorm=True):
    initializer = tf.random_normal_initializer(0., 0.02)
    result = tf.keras.Sequential()
    result.add(tf.keras.layers.Conv2D(filters, size, strides=2, padding='same', kernel_initializer=initializer, use_bias=False))
    if apply_batchnorm:
        result.add(tf.keras.layers.BatchNormalization())
    result.add(tf.keras.layers.LeakyReLU())
    return result


def upsample(filters, size, apply_dropout=False):
    result = tf.keras.Sequential()
    result.add(tf.keras.layers.Conv2DTranspose(filters, size, strides=2, padding='same', kernel_initializer=tf.random_normal_initializer(0., 0.02), use_bias=False))
    result.add(tf.keras.layers.BatchNormalization())
    if apply_dropout:
        result.add(tf.keras.layers.Dropout(0.5))
    result.add(tf.keras.layers.ReLU())
    return result


def Generator():
    inputs = tf.keras.layers.Input(shape=[16, 16, 3])
    down_stack = [downsample(4, 4, apply_batchnorm=False), downsample(8, 4), downsample(8, 4)]
    up_stack = [upsample(8, 4, apply_dropout=True), upsample(4, 4)]
    last = tf.keras.layers.Conv2DTranspose(OUTPUT_CHANNELS, 4, strides=2, padding='same', activation='tanh')
    x = inputs
    skips = []
    for down in down_stack:
        x = down(x)
        skips.append(x)
    skips = reversed(skips[:-1])
    for up, skip in zip(up_stack, skips):
        x = up(x)
        x = tf.keras.layers.Concatenate()([x, skip])
    x = last(x)
    return tf.keras.Model(inputs=inputs, outputs=x)


def Discriminator():
    inp = tf.keras.layers.Input(shape=[16, 16, 3], name='input_image')
    tar = tf.keras.layers.Input(shape=[16, 16, 3], name='target_image')
    x = tf.keras.layers.concatenate([inp, tar])
    x = downsample(4, 4, False)(x)
    x = tf.keras.layers.ZeroPadding2D()(x)
    x = tf.keras.layers.Conv2D(1, 4, strides=1)(x)
    return tf.keras.Model(inputs=[inp, tar], outputs=x)


generator, discriminator = Generator(), Discriminator()
loss_object = tf.keras.losses.BinaryCrossentropy(from_logits=True)
generator_optimizer = tf.keras.optimizers.Adam(2e-4, beta_1=0.5)
discriminator_optimizer = tf.keras.optimizers.Adam(2e-4, beta_1=0.5)


@tf.function
def train_step(input_image, target, step):
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        gen_output = generator(input_image, training=True)
        disc_real_output = discriminator([input_image, target], training=True)
        disc_generated_output = discriminator([input_image, gen_output], training=True)
        gan_loss = loss_object(tf.ones_like(disc_generated_output), disc_generated_output)
        gen_total_loss = gan_loss + 100 * tf.reduce_mean(tf.abs(target - gen_output))
        disc_loss = loss_object(tf.ones_like(disc_real_output), disc_real_output) + loss_object(tf.zeros_like(disc_generated_output), disc_generated_output)
    generator_optimizer.apply_gradients(zip(gen_tape.gradient(gen_total_loss, generator.trainable_variables), generator.trainable_variables))
    discriminator_optimizer.apply_gradients(zip(disc_tape.gradient(disc_loss, discriminator.trainable_variables), discriminator.trainable_variables))
    with summary_writer.as_default():
        tf.summary.scalar('gen_total_loss', gen_total_loss, step=step//1000)
    return gen_total_loss


summary_writer = tf.summary.create_file_writer("logs/fit")
ds = tf.data.Dataset.from_tensor_slices((tf.random.uniform((4, 16, 16, 3)), tf.random.uniform((4, 16, 16, 3)))).batch(2)
for step, (input_image, target) in ds.repeat().take(3).enumerate():
    loss = train_step(input_image, target, step)
    tf.print('gen_total_loss', loss)
    print('gen_total_loss', float(loss))
