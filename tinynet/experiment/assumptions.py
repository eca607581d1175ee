"""Decisions on what the paper leaves open or contradicts itself in, with their reasons."""

from __future__ import annotations

from typing import NamedTuple


class Assumption(NamedTuple):
    """One open question of the paper.  ``tinynet stages --assumptions`` shows them all."""

    question: str
    decision: str
    reason: str


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "Padding of the convolutions",
        "0",
        "Not stated. Caffe's default, and the paper wants feature maps to shrink quickly.",
    ),
    Assumption(
        "Pooling kernel",
        "2x2 with stride 2, no padding",
        "Only 'max pooling, stride: 2' is stated. 2x2 does not overlap; Caffe has no default.",
    ),
    Assumption(
        "Pooling of odd feature maps",
        "Caffe's rule, rounding up: 9x9 becomes 5x5",
        "The paper used Caffe, and this is what Caffe does.",
    ),
    Assumption(
        "Units of fc1 before stage 5",
        "400",
        "The layer list says 400; stage 5's text says 'from 200 units'. The list is the "
        "definition, and 200 is what fc2 has.",
    ),
    Assumption(
        "Units of fc2",
        "one per class: 200, or --classes N",
        "The list's 200 units are Tiny ImageNet's 200 classes.",
    ),
    Assumption(
        "Filters of the three layers that replace conv2 (stage 6)",
        "128 each",
        "Only their size, 3x3, is stated. conv2 has 128, and so conv3 sees what it saw before.",
    ),
    Assumption(
        "Nonlinearities around those three layers",
        "a leaky ReLU after each",
        "'Each separated by a ReLU'; the last keeps the one that conv2 had.",
    ),
    Assumption(
        "ReLU and dropout after fc1",
        "fc1, ReLU, dropout, fc2",
        "Items 11 to 13 of the list put the ReLU there; ReLU before dropout is Caffe's own order. "
        "The two commute.",
    ),
    Assumption(
        "Place of dropout 2",
        "on pool3, right before fc1",
        "'Between the last convolutional layer and the first fully connected layer'. Behind the "
        "ReLU and the pooling it drops what fc1 reads.",
    ),
    Assumption(
        "Dropout's scaling",
        "by 1/(1 - 0.5) in training, identity at test",
        "Caffe's Dropout layer.",
    ),
    Assumption(
        "Crop and mirror at test",
        "centre crop of 60x60, no mirror; the whole image in stages 1 and 2",
        "'Feeding each image to the network' once. Caffe's TEST phase takes the centre.",
    ),
    Assumption(
        "Oversampling",
        "Caffe's ten crops: four corners, centre, and the mirror images of those five",
        "'The default Caffe option'. Stages 1 and 2 see whole images: two crops, not ten.",
    ),
    Assumption(
        "Input scaling",
        "(pixel - mean) / 64: three mean values of the training set, pixels 0 to 255",
        "Not stated. Three mean values hold for any crop. Unscaled, no one std serves all stages: "
        "at one that leaves stage 7 on the plateau, stage 5 diverges.",
    ),
    Assumption(
        "Batch size",
        "128 in training; at test the largest divisor of the validation set up to 100",
        "Not stated. 128 fitted the GPUs of 2015; the divisor makes every test see exactly the "
        "validation set.",
    ),
    Assumption(
        "Initial weights",
        "gaussian, mean 0, one std for every layer of a stage "
        "(tinynet/experiment/hyperparameters.py)",
        "'A similar gaussian initialization for the weights, independently of the layer'; the "
        "value is not stated. Measured: see data/results/hyperparameters.md.",
    ),
    Assumption(
        "Initial biases",
        "0",
        "Not stated. Caffe's default filler.",
    ),
    Assumption(
        "lr_mult and decay_mult",
        "1 for weights and biases",
        "Not stated. Caffe's default.",
    ),
    Assumption(
        "Learning rate, weight decay, length and schedule",
        "base_lr 0.01 and weight_decay 0.0005; 20, 30, 40, 40, 50, 50 and 60 epochs of stages 1 to "
        "7, with the rate divided by 10 twice (tinynet/experiment/hyperparameters.py)",
        "'Fine-tuned ... coarse to fine' and 'a larger training time was usually needed' further "
        "down; no value is given. Measured: base_lr 0.01 leaves the plateau "
        "(data/results/hyperparameters.md). The rest is convention.",
    ),
    Assumption(
        "Regularization",
        "L2 weight decay on all layers, momentum 0.9, plain SGD",
        "'Weight regularization', 'momentum stochastic gradient descent ... 0.9'. L2 is Caffe's "
        "default.",
    ),
    Assumption(
        "An epoch",
        "training images / batch size, rounded: 781 iterations of 128",
        "Schedules have to divide into whole iterations.",
    ),
    Assumption(
        "Which snapshot counts",
        "the last",
        "Not stated. Choosing the best by validation accuracy would fit the validation set once "
        "more.",
    ),
    Assumption(
        "Training accuracy",
        "the training set in TEST phase: no dropout, centre crop, no mirror",
        "Not stated. It is the figure to compare with validation accuracy; accuracy under dropout "
        "and augmentation would hide overfitting.",
    ),
    Assumption(
        "Bounding boxes",
        "not used",
        "The paper mentions them and does not use them. 'tinynet data convert --crop-to-box' does.",
    ),
    Assumption(
        "What differs between the ensemble's 11 members",
        "random_seed, and from the fourth on base_lr and weight_decay, by up to 20 %",
        "'Slightly different hyperparameters as well as a different initialization'; these two are "
        "what the paper tuned. The first three are stage 7's runs from seeds 1 to 3.",
    ),
    Assumption(
        "Averaging",
        "the mean of the members' probabilities, each from ten crops",
        "'Averaged the prediction probabilities', each 'using the oversampling above'.",
    ),
)
