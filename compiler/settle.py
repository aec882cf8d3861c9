"""Pass 4c, settling: the chosen groups get their buffers, kept maps first, and each its best way to run in what they leave."""

from compiler.allocate import NoRoom, place_kept
from compiler.arrange import arrangements
from compiler.group import Buffer, Schedule
from compiler.refine import Refiner
from compiler.trial import trial


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
        groups, buffers = [], []
        for index, (situation, choice) in enumerate(path):
            live = [root for root, (_, first, last) in lives.items() if first <= index <= last]
            fixed = {t: kept[root] for t, root in root_of.items() if root in live} | {root: kept[root] for root in live}
            room = self.capacity - sum(kept[root].rows for root in live if lives[root][1] < index)
            group = self._place(situation, choice, room, fixed, [kept[root] for root in live], groups[-1] if groups else None)
            groups.append(group)
            buffers += [b for b in group.own if not any(b is other for other in buffers)]
        self._arrange(groups, buffers)
        return Schedule(groups, buffers)

    def _arrange(self, groups, buffers):
        """Place the buffers together if that is faster."""
        ways = [{b: b.base for group in groups for b in group.own}]
        ways += arrangements(groups, self.cfg)
        best = None
        for way in ways if len(ways) > 1 else ():
            for buffer, base in way.items():
                buffer.base = base
            found = trial(groups, self.cfg)
            if found and (best is None or found[0] < best[0]):
                best = found[0], way
        for buffer, base in best[1].items() if best else ():
            buffer.base = base

    def _place(self, situation, choice, room, fixed, beside, previous):
        """The group in its best way that finds room; with less and less room for its rings."""
        while choice is not None:
            try:
                return self.refiner.refine(situation, choice, room, fixed, beside, previous)
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
