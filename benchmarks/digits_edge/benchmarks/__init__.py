"""Measures bundles in the runtime, against what people would use without it.

Modules are imported by name: processes whose memory is measured import a few of them, and should not pay for
all.
"""
