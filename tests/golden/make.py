"""Makes the files beside it: real digits, two small bundles that read them, and hostile model files.

    python tests/golden/make.py

Needs the toolkit with its export extra. The tests only read what it made, so that they run where nothing but
the runtime is installed. Made afresh, the trained weights may differ in their last bits; no test minds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from digits_edge.export.artifact import Artifact, golden_answers
from digits_edge.export.publish import publish, stage
from digits_edge.export.selection import convert
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.datasets import Split, load_dataset
from digits_edge.trainer.fit import to_input

if TYPE_CHECKING:
    import keras
    import onnx

HERE = Path(__file__).parent
EACH = 60  # images of each digit in digits.npz


def main() -> None:
    data = load_dataset()
    assert data.test is not None
    write_digits(data.test)
    write_bundles(data.train, data.test)
    write_hostile_onnx()
    write_hostile_tflite((HERE / "tiny-tflite-int8" / "model.tflite").read_bytes())


def write_digits(test: Split) -> None:
    """The first test images of each digit, in the order of the test set."""
    rows = np.sort(np.concatenate([np.flatnonzero(test.labels == digit)[:EACH] for digit in range(10)]))
    chosen = test.take(rows)
    np.savez_compressed(HERE / "digits.npz", images=chosen.images, labels=chosen.labels)


# ── Bundles ────────────────────────────────────────────────────────────────────────────────────────────────


def write_bundles(train: Split, test: Split) -> None:
    """A network of 5,000 parameters: float32 ONNX, which all processors compute alike, and int8 TFLite."""
    model = tiny_network()
    model.fit(to_input(train.images), train.labels, batch_size=128, epochs=3, shuffle=True, verbose=0)
    images = test.images[-1000:]  # digits.npz has others
    answers = np.asarray(model.predict_on_batch(to_input(images)))
    for kind, precision in ((Format.ONNX, Precision.FLOAT32), (Format.TFLITE, Precision.INT8)):
        content = convert(model, kind, precision, train.images[:256])
        artifact = Artifact("tiny", kind, precision, content, provenance={"made_by": "tests/golden/make.py"})
        golden = golden_answers(artifact, images, answers)
        target = HERE / artifact.directory
        publish(stage(target, artifact.files(golden)), target)


def tiny_network() -> keras.Model:
    import keras
    from keras import layers

    keras.utils.set_random_seed(42)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, strides=2, padding="same", activation="relu", name="conv1"),
            layers.BatchNormalization(name="conv1_norm"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(16, 3, activation="relu", name="conv2"),
            layers.BatchNormalization(name="conv2_norm"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="softmax", name="classifier"),
        ],
        name="tiny",
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


# ── Odd and hostile ONNX files: plain ONNX Runtime runs all of them but custom-domain and compiled-elsewhere


def write_hostile_onnx() -> None:
    import onnx
    from onnx import helper

    folder = HERE / "hostile"
    folder.mkdir(exist_ok=True)
    (folder / "secret.bin").write_bytes(ROW.tobytes())
    row = onnx.numpy_helper.from_array(ROW, "row")
    shell = helper.make_node("Shell", ["mean", "row"], ["logits"], domain="com.attacker")
    compiled = helper.make_node(
        "EPContext",
        ["mean", "row"],
        ["logits"],
        domain="com.microsoft",
        embed_mode=0,
        ep_cache_context="secret.bin",
    )
    for name, model in {
        "honest": modelled([product()], [row]),
        "external-initializer": modelled([product()], [outside()]),
        "external-attribute": modelled([constant(value=outside()), product()]),
        "external-sparse": modelled([constant(sparse_value=sparse(outside())), product()]),
        "external-branch": modelled([branch(outside()), product()], [truth()]),
        "sparse-initializer": modelled([product()], sparse=[sparse(row)]),
        "custom-domain": modelled([shell], [row], domain="com.attacker"),
        "custom-opset": modelled([product()], [row], domain="com.attacker"),
        "function": with_function(),
        "training-info": with_training_info(modelled([product()], [row])),
        "loop": modelled([loop(), product()], [onnx.numpy_helper.from_array(ROW, "start"), truth(), count()]),
        "compiled-elsewhere": modelled([compiled], [row], domain="com.microsoft"),
        "two-outputs": modelled([product()], [row], outputs=["logits", "mean"]),
        "eleven-logits": modelled(
            [product()], [onnx.numpy_helper.from_array(np.ones((1, 11), np.float32), "row")]
        ),
        "float-input": modelled([product()], [row], takes=onnx.TensorProto.FLOAT),
        "nan-logits": modelled([product()], [onnx.numpy_helper.from_array(ROW * np.nan, "row")]),
        "fails-on-a-marked-corner": failing(row),
    }.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


ROW = np.linspace(-1, 1, 10, dtype=np.float32).reshape(1, 10)


def modelled(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto] | None = None,
    *,
    sparse: list[onnx.SparseTensorProto] | None = None,
    takes: int = 2,  # uint8
    outputs: list[str] | None = None,
    domain: str = "",
) -> onnx.ModelProto:
    """uint8 images → their mean (N, 1) → the nodes → logits (N, 10)."""
    import onnx
    from onnx import helper

    to_mean = [
        helper.make_node("Cast", ["images"], ["pixels"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=1),
        helper.make_node("Reshape", ["means", "column"], ["mean"]),
    ]
    graph = helper.make_graph(
        [*to_mean, *nodes],
        "tiny",
        [helper.make_tensor_value_info("images", takes, ["batch", 28, 28])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs or ["logits"]],
        [onnx.numpy_helper.from_array(np.array([-1, 1]), "column"), *(constants or [])],
        sparse_initializer=sparse,
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def product() -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("Mul", ["mean", "row"], ["logits"])


def constant(**value: onnx.TensorProto | onnx.SparseTensorProto) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("Constant", [], ["row"], **value)


def outside() -> onnx.TensorProto:
    """ROW, in a file beside the model."""
    import onnx

    tensor = onnx.TensorProto(name="row", data_type=onnx.TensorProto.FLOAT, dims=ROW.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "secret.bin", "offset": "0", "length": str(ROW.nbytes)}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def sparse(values: onnx.TensorProto) -> onnx.SparseTensorProto:
    import onnx

    flat = onnx.TensorProto()
    flat.CopyFrom(values)
    flat.dims[:] = [ROW.size]
    places = onnx.numpy_helper.from_array(np.arange(ROW.size), "places")
    return onnx.helper.make_sparse_tensor(flat, places, ROW.shape)


def truth() -> onnx.TensorProto:
    import onnx

    return onnx.numpy_helper.from_array(np.array(True), "yes")


def count() -> onnx.TensorProto:
    import onnx

    return onnx.numpy_helper.from_array(np.array(3), "count")


def branch(weights: onnx.TensorProto) -> onnx.NodeProto:
    """If yes: the weights, else: the weights."""
    from onnx import helper

    result = helper.make_tensor_value_info("chosen", weights.data_type, list(ROW.shape))
    arm = helper.make_graph(
        [helper.make_node("Identity", ["row"], ["chosen"])], "arm", [], [result], [weights]
    )
    return helper.make_node("If", ["yes"], ["row"], then_branch=arm, else_branch=arm)


def loop() -> onnx.NodeProto:
    """Hands the weights on three times."""
    import onnx
    from onnx import helper

    turn = helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, [])
    go, on = (helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, []) for name in ("go", "on"))
    old, new = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(ROW.shape))
        for name in ("old", "new")
    )
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["old"], ["new"])],
        "body",
        [turn, go, old],
        [on, new],
    )
    return helper.make_node("Loop", ["count", "yes", "start"], ["row"], body=body)


def with_function() -> onnx.ModelProto:
    import onnx
    from onnx import helper

    model = modelled(
        [helper.make_node("Product", ["mean", "row"], ["logits"], domain="com.microsoft")],
        [onnx.numpy_helper.from_array(ROW, "row")],
        domain="com.microsoft",
    )
    body = [helper.make_node("Mul", ["a", "b"], ["c"])]
    model.functions.append(
        helper.make_function(
            "com.microsoft", "Product", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)]
        )
    )
    return model


def with_training_info(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnx import helper

    model.training_info.add().algorithm.CopyFrom(helper.make_graph([], "step", [], []))
    return model


def failing(row: onnx.TensorProto) -> onnx.ModelProto:
    """Reads beyond a table, which ONNX Runtime notices, where the top left pixel is 255."""
    import onnx
    from onnx import helper

    constants = {"first": np.array(0), "full": np.array(255), "table": np.zeros(1, np.float32)}
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["levels", "first"], ["top"], axis=1),
        helper.make_node("Gather", ["top", "first"], ["corner"], axis=1),
        helper.make_node("Div", ["corner", "full"], ["marked"]),
        helper.make_node("Gather", ["table", "marked"], ["zeros"]),
        helper.make_node("Reshape", ["zeros", "column"], ["nothing"]),
        helper.make_node("Mul", ["mean", "row"], ["products"]),
        helper.make_node("Add", ["products", "nothing"], ["logits"]),
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return modelled(nodes, [row, *tensors])


# ── Hostile TFLite files ───────────────────────────────────────────────────────────────────────────────────


def write_hostile_tflite(honest: bytes) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def write(name: str, change: Callable[[Any], None]) -> None:
        model = schema.ModelT.InitFromPackedBuf(honest, 0)
        change(model)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        (HERE / "hostile" / f"{name}.tflite").write_bytes(bytes(builder.Output()))

    def custom_operator(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "Shell"

    def second_graph(model: Any) -> None:
        model.subgraphs.append(model.subgraphs[0])

    def external_buffers(model: Any) -> None:
        group, buffer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
        group.name, buffer.id, buffer.length = "secret.bin", 1, ROW.nbytes
        model.externalBufferGroups, model.externalBuffers = [group], [buffer]

    def weights_behind(model: Any) -> None:
        buffer = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
        buffer.data, buffer.offset, buffer.size = None, 1 << 20, 1 << 10

    write("custom-operator", custom_operator)
    write("second-graph", second_graph)
    write("external-buffers", external_buffers)
    write("weights-behind", weights_behind)


if __name__ == "__main__":
    main()
