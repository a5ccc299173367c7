#!/usr/bin/env python3
"""Training steps of the blog's model in Keras on TensorFlow, through fit(): the figures of
`maskgrad bench blog-step`, as JSON."""

import os

from common import (
    FEATURES,
    HIDDEN,
    LENGTH,
    VOCAB,
    blog_data,
    check_parameters,
    median_seconds,
    parser,
    print_json,
    require,
)


def make_model(keras):
    ops = keras.ops

    class Embed(keras.layers.Layer):
        """Rows of a table; 0 where the token is 0, and a mask that says so."""

        def build(self, shape):
            self.table = self.add_weight(shape=(VOCAB, FEATURES), initializer="glorot_uniform")

        def compute_mask(self, tokens, mask=None):
            return ops.not_equal(tokens, 0)

        def call(self, tokens):
            keep = ops.cast(ops.not_equal(tokens, 0), self.table.dtype)
            return ops.take(self.table, tokens, axis=0) * keep[:, :, None]

    class Attend(keras.layers.Layer):
        """Self-attention of one head, over the keys that the mask keeps."""

        supports_masking = True

        def build(self, shape):
            square = (FEATURES, FEATURES)
            self.q, self.k, self.v = (
                self.add_weight(shape=square, initializer="glorot_uniform") for _ in range(3)
            )

        def call(self, x, mask=None):
            keys = ops.transpose(ops.matmul(x, self.k), (0, 2, 1))
            scores = ops.matmul(ops.matmul(x, self.q), keys) * FEATURES**-0.5
            weights = ops.softmax(ops.where(mask[:, None, :], scores, -1e9))
            return ops.matmul(weights, ops.matmul(x, self.v)) * ops.cast(mask, x.dtype)[:, :, None]

    model = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            Embed(),
            Attend(),
            keras.layers.Reshape((LENGTH * FEATURES,)),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(VOCAB),
        ]
    )
    check_parameters(model.count_params())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-3, epsilon=1e-7), loss=loss)
    return model


def microseconds(tensorflow, keras, batch_size):
    """The time of one step, over several epochs of fit()."""
    model = make_model(keras)
    tokens, targets = (tensorflow.constant(values, "int32") for values in blog_data())
    data = tensorflow.data.Dataset.from_tensor_slices((tokens, targets)).batch(batch_size)
    steps = len(data)
    return 1e6 * median_seconds(lambda: model.fit(data, epochs=1, shuffle=False, verbose=0)) / steps


def main():
    options = parser(__doc__).parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    tensorflow, keras = require("tensorflow", "keras")
    tensorflow.config.threading.set_intra_op_parallelism_threads(options.threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(options.threads)
    figures = {
        f"blog_step_b{batch_size}_us": microseconds(tensorflow, keras, batch_size)
        for batch_size in (2, 100)
    }
    print_json(figures, {"Keras": keras.__version__, "TensorFlow": tensorflow.__version__})


if __name__ == "__main__":
    main()
