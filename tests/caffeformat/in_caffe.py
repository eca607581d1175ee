"""What the prototxt tests ask of a real Caffe; runs in its interpreter: Python 3.6, numpy, caffe.

python in_caffe.py schema OUT.json
python in_caffe.py texts IN.json OUT.json
python in_caffe.py shapes IN.json OUT.json
python in_caffe.py train IN.json OUT.json
"""

import json
import sys


def schema():
    """Every message of caffe_pb2: its fields and enums, as plain data."""
    from caffe.proto import caffe_pb2
    from google.protobuf.descriptor import FieldDescriptor as F

    def enum(descriptor):
        return {value.name: value.number for value in descriptor.values}

    def field(f):
        default = f.default_value if f.has_default_value else None
        if default is not None and f.enum_type:
            default = f.enum_type.values_by_number[default].name
        kind = f.message_type or f.enum_type
        return {
            "number": f.number,
            "type": kind.name
            if kind
            else {v: k for k, v in vars(F).items() if k[:5] == "TYPE_"}[f.type],
            "label": {F.LABEL_REPEATED: "repeated", F.LABEL_REQUIRED: "required"}.get(
                f.label, "optional"
            ),
            "packed": f.GetOptions().packed,
            "has_default": f.has_default_value,
            "default": default,
        }

    file = caffe_pb2.DESCRIPTOR
    return {
        "enums": {name: enum(e) for name, e in file.enum_types_by_name.items()},
        "messages": {
            name: {
                "enums": {e.name: enum(e) for e in message.enum_types},
                "fields": {f.name: field(f) for f in message.fields},
            }
            for name, message in file.message_types_by_name.items()
        },
    }


def texts(requests):
    """[message, text, other text] → whether both read as one, the wire bytes, Caffe's own text."""
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    answers = []
    for message, first, second in requests:
        one, two = (getattr(caffe_pb2, message)() for _ in range(2))
        text_format.Merge(first, one)
        text_format.Merge(second, two)
        answers.append(
            {
                # NaN differs from itself, so the wire decides
                "equal": one.SerializeToString() == two.SerializeToString(),
                "wire": one.SerializeToString().hex(),
                "text": text_format.MessageToString(one),
            }
        )
    return answers


def shapes(requests):
    """[path of a net, phase] → shapes of blobs and parameters, or the abort of that process."""
    import caffe

    answers = []
    for path, phase in requests:
        net = caffe.Net(str(path), phase)
        answers.append(
            {
                "blobs": {name: list(blob.data.shape) for name, blob in net.blobs.items()},
                "parameters": {
                    name: [list(blob.data.shape) for blob in blobs]
                    for name, blobs in net.params.items()
                },
            }
        )
    return answers


def train(solvers):
    """Solve each solver file; what its nets are and report afterwards."""
    import caffe

    answers = []
    for path in solvers:
        solver = caffe.get_solver(str(path))
        solver.solve()
        test = solver.test_nets[0]
        answers.append(
            {
                "iterations": solver.iter,
                "loss": float(solver.net.blobs["loss"].data),
                "outputs": sorted(test.outputs),
                "batch": [int(net.blobs["data"].data.shape[0]) for net in (solver.net, test)],
            }
        )
    return answers


def main():
    verb, *paths = sys.argv[1:]
    *source, out = paths
    if source:
        with open(source[0]) as file:
            source = [json.load(file)]
    answer = {"schema": schema, "texts": texts, "shapes": shapes, "train": train}[verb](*source)
    with open(out, "w") as file:
        json.dump(answer, file)


main()
