"""Makes proved bundles of a trained run: fold, convert, quantize, prove, publish.

Modules are imported by name, as in the trainer: a command line that only prints its help should not pay for
them.
"""
