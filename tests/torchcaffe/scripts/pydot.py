"""A stand-in for pydot that only remembers: what caffe.draw asks of it can be printed."""


class Node:
    def __init__(self, label, **style):
        self.said = (label, sorted(style.items()))


class Edge:
    def __init__(self, start, end, label):
        self.said = (start.said[0], end.said[0], label)


class Dot:
    def __init__(self, name, **attributes):
        self.said = [("graph", name, sorted(attributes.items()))]

    def add_node(self, node):
        self.said.append(node.said)

    def add_edge(self, edge):
        self.said.append(edge.said)

    def create(self, format):
        return (format + str(len(self.said))).encode()
