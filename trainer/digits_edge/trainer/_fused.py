"""BatchNorm whose training step is one kernel on TensorFlow. Only a network in training has it."""

from __future__ import annotations

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """`keras.layers.BatchNormalization`, with statistics, scaling and their gradients in one kernel each.

    Keras' own makes pass after pass over the activations, which are large and whose arithmetic is little
    (``docs/results.md`` has both). The results are the same but for the moving variance, the unbiased one
    here. The published network is built with Keras' layer, from the same variables.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or inputs.ndim != 4 or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        # Statistics are float32, whatever the activations are.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs
