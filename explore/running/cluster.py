"""``python -m explore.running.cluster COUNT``: the process that has this machine's workers as its children.

It prints the address of their scheduler and ends, with all of them, when its standard input does: also when the exploration that started
it was killed. A process of its own keeps what Dask says about workers that are being ended away from the user.
"""

import sys

from distributed import LocalCluster

__all__ = ["main"]


def main(count: int) -> None:
    """Hold ``count`` workers until standard input ends."""
    # Any port that is free: the usual one may be another exploration's.
    cluster = LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    with cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
