"""Logistic regression, then one hidden layer, on HDF5 files, as in Caffe's brewing-logreg."""

import caffe
from caffe import layers as L
from caffe.proto import caffe_pb2

caffe.set_mode_cpu()
for name in ("train", "test"):  # HDF5 files in the script's folder
    with open(name + ".txt", "w") as file:
        file.write(name + ".h5\n")


def logreg(source, batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.HDF5Data(batch_size=batch_size, source=source, ntop=2)
    n.ip1 = L.InnerProduct(n.data, num_output=2, weight_filler={"type": "xavier"})
    n.accuracy = L.Accuracy(n.ip1, n.label)
    n.loss = L.SoftmaxWithLoss(n.ip1, n.label)
    return n.to_proto()


def nonlinear(source, batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.HDF5Data(batch_size=batch_size, source=source, ntop=2)
    n.ip1 = L.InnerProduct(n.data, num_output=40, weight_filler={"type": "xavier"})
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(n.ip1, num_output=2, weight_filler={"type": "xavier"})
    n.accuracy = L.Accuracy(n.ip2, n.label)
    n.loss = L.SoftmaxWithLoss(n.ip2, n.label)
    return n.to_proto()


for name, make in (("logreg", logreg), ("nonlinear", nonlinear)):
    for phase in ("train", "test"):
        with open(name + "_" + phase + ".prototxt", "w") as file:
            file.write(str(make(phase + ".txt", 20)))
    s = caffe_pb2.SolverParameter()
    s.train_net = name + "_train.prototxt"
    s.test_net.append(name + "_test.prototxt")
    s.test_interval, s.max_iter = 100, 300
    s.test_iter.append(6)
    s.base_lr, s.lr_policy, s.gamma, s.stepsize = 0.05, "step", 0.1, 200
    s.momentum, s.weight_decay = 0.9, 5e-4
    s.snapshot_prefix, s.snapshot_after_train = name, False
    s.random_seed = 11
    s.solver_mode = caffe_pb2.SolverParameter.CPU
    with open(name + "_solver.prototxt", "w") as file:
        file.write(str(s))
    solver = caffe.get_solver(name + "_solver.prototxt")
    solver.solve()
    accuracy = 0
    for _ in range(6):
        solver.test_nets[0].forward()
        accuracy += float(solver.test_nets[0].blobs["accuracy"].data)
    print(name, round(accuracy / 6, 3), float(solver.net.blobs["loss"].data))
    print(solver.net.params["ip1"][0].data.ravel()[:8].tolist())
