"""Which operations run together: runs of operations, in order, whose maps stay in the buffer band by band."""


def make_groups(graph, fusion, apart=()):
    """Lists of operations, one a group.

    A pool joins the convolution before it where nobody else reads that one's map. ``apart`` names layers that must not join.
    """
    readers = graph.readers()
    groups = []
    for op in graph.ops:
        last = groups[-1][-1] if groups else None
        joins = (
            fusion and last is not None and op.layers[0] not in apart and not op.is_conv and last.is_conv and op.parts == (last.out,)
            and readers[last.out] == [op] and last.out.home not in graph.outputs
        )  # fmt: skip
        if joins:
            groups[-1].append(op)
        else:
            groups.append([op])
    return groups
