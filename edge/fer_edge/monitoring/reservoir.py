"""Choose which of many faces to keep, so that few images represent all days and all expressions.

Balanced reservoir sampling: Chrysakis and Moens, "Online continual learning from imbalanced data", ICML 2020. The kept
faces of a stratum are a uniform sample of all faces in it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Container


class BalancedReservoir:
    """Keeps at most `capacity` items of a stream. When full, it drops items of the largest day's largest stratum."""

    def __init__(self, capacity: int, rng: random.Random) -> None:
        # How many items each day had in each stratum, kept or not.
        self.seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._capacity = capacity
        self._rng = rng
        self._kept: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def __len__(self) -> int:
        return sum(self._day_size(day) for day in self._kept)

    def restore(self, item: str, day: str, stratum: str) -> None:
        """Add an item that was kept earlier. The caller restores `seen`."""
        self._kept[day][stratum].append(item)

    def forget_before(self, day: str) -> None:
        """Drop the items of earlier days; days are compared by their names."""
        for earlier in [name for name in self._kept if name < day]:
            del self._kept[earlier]

    def shrink(self, valued: Container[str] = ()) -> list[str]:
        """Drop items beyond the capacity, and return them."""
        return [self._take(self._largest_stratum(), valued) for _ in range(len(self) - self._capacity)]

    def offer(self, item: str, day: str, stratum: str, valued: Container[str] = ()) -> tuple[bool, str | None]:
        """Offer one more item.

        Args:
            item: its name.
            day: its day.
            stratum: its stratum.
            valued: items that are dropped only if their stratum has no others.

        Returns:
            Whether it is kept, and the item that is dropped for it, if any.
        """
        self.seen[day][stratum] += 1
        mine, seen = self._kept[day][stratum], self.seen[day][stratum]
        is_full = len(self) >= self._capacity
        gave_up_some = len(mine) < seen - 1
        giving = mine if gave_up_some and mine else self._largest_stratum() if is_full else []
        # Algorithm R (Vitter, 1985): item n of a stratum of which m are kept is kept with probability m / n.
        if (giving is mine or gave_up_some) and self._rng.random() * seen >= max(len(mine), 1):
            return False, None
        victim = self._take(giving, valued) if giving else None
        mine.append(item)
        return True, victim

    def _take(self, items: list[str], valued: Container[str]) -> str:
        victim = self._rng.choice([item for item in items if item not in valued] or items)
        items.remove(victim)
        return victim

    def _largest_stratum(self) -> list[str]:
        day = max(self._kept, key=lambda day: (self._day_size(day), day))
        return max(self._kept[day].values(), key=len)

    def _day_size(self, day: str) -> int:
        return sum(map(len, self._kept[day].values()))
