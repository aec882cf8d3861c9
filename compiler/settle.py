"""Pass 4c, settling: the chosen groups get their buffers, kept maps first, and each its best way to run in what they leave."""

from compiler.allocate import NoRoom, place_kept
from compiler.group import Buffer, Schedule
from compiler.refine import Refiner


class Settler:
    """Makes the :class:`~compiler.group.Schedule` of a path of (situation, choice) pairs."""

    def __init__(self, cfg, chooser, capacity):
        self.cfg, self.chooser, self.capacity = cfg, chooser, capacity
        self.refiner = Refiner(cfg, chooser)

    def settle(self, path):
        """The schedule, every buffer in its place.

        Raises
        ------
        NoRoom
            If the buffers find no place.
        """
        cfg = self.cfg
        root_of, lives = self._lives(path)
        bases = place_kept(lives, cfg)
        kept = {}
        for root, base in bases.items():
            kept[root] = Buffer([], root.blocks(cfg.n), root.h, root.w, base=base)
        groups, buffers, before = [], [], []
        for index, (situation, choice) in enumerate(path):
            live = [root for root, (_, first, last) in lives.items() if first <= index <= last]
            fixed = {t: kept[root] for t, root in root_of.items() if root in live} | {root: kept[root] for root in live}
            room = self.capacity - sum(kept[root].rows for root in live if lives[root][1] < index)
            group = self._place(situation, choice, room, fixed, [kept[root] for root in live], before)
            groups.append(group)
            before = [(b.base, b.base + b.rows) for b in group.own]
            buffers += [b for b in group.own if not any(b is other for other in buffers)]
        return Schedule(groups, buffers)

    def _place(self, situation, choice, room, fixed, beside, before):
        """The group in its best way that finds room; with less and less room for its rings."""
        while choice is not None:
            try:
                return self.refiner.refine(situation, choice, room, fixed, beside, before)
            except NoRoom:
                room -= self.cfg.act_rows // 16
                choice = self.chooser.best(situation, room) if room > 0 else None
        raise NoRoom(f"layer {situation.ops[0].layers[0]}: its buffers find no place beside what is kept")

    def _lives(self, path):
        """{kept tensor: tensor whose buffer it uses} and {the latter: (rows, first group, last group)}."""
        root_of, lives = {}, {}
        for index, (situation, choice) in enumerate(path):
            for tensor in situation.readers:
                if tensor in situation.resident:
                    rows, first, _ = lives[root_of[tensor]]
                    lives[root_of[tensor]] = rows, first, index
            roots = situation.roots(self.cfg.n, choice.share)
            for op in situation.ops:
                # In place: also results that are not kept may lie in the buffer of a kept map.
                old = roots.get(op.out, op.out)
                root = root_of.get(old, old)
                if op.out in situation.kept or root in lives:
                    root_of[op.out] = root
                    lives.setdefault(root, (root.rows(self.cfg.n), index, index))
        return root_of, lives
