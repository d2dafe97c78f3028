"""Which stage may start now: a graph, a number of workers, a list of devices. Nothing is run here."""

from collections.abc import Iterable, Mapping

from tasks.dag import Stage


class Schedule:
    """Hands out each stage once, when its upstream stages are done and there is room for it.

    `workers` stages run here side by side. A stage marked for a GPU takes `per_stage` of `devices` besides;
    with `elsewhere` it takes nothing here.
    """

    def __init__(
        self,
        stages: Mapping[str, Stage],
        *,
        workers: int = 1,
        devices: Iterable[str],
        per_stage: int = 1,
        elsewhere: bool = False,
    ) -> None:
        self._stages = stages
        self._waiting = dict.fromkeys(stages)  # an ordered set
        self._done: set[str] = set()
        self._workers = workers
        self._devices = list(devices)
        self._per_stage = per_stage
        self._elsewhere = elsewhere
        self._held: dict[str, list[str]] = {}  # devices of the stages that run

    def __bool__(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._waiting or self._held)

    def ready(self) -> list[str]:
        """Stages that wait for nothing but room."""
        return [name for name in self._waiting if self._stages[name].upstream <= self._done]

    def running(self) -> list[str]:
        """Stages that were started and are not over."""
        return list(self._held)

    def runs_elsewhere(self, name: str) -> bool:
        """Whether a stage goes to a work pool."""
        return self._elsewhere and self._stages[name].gpu

    def start(self, name: str) -> list[str] | None:
        """Start a ready stage: the devices it gets (none for most), or None where there is no room yet."""
        held: list[str] = []
        if not self.runs_elsewhere(name):
            if self._workers == 0:
                return None
            if self._stages[name].gpu:
                if len(self._devices) < self._per_stage:
                    return None
                held, self._devices = self._devices[: self._per_stage], self._devices[self._per_stage :]
            self._workers -= 1
        del self._waiting[name]
        self._held[name] = held
        return held

    def settle(self, name: str) -> None:
        """A ready stage turned out to be up to date: it is done without having run."""
        del self._waiting[name]
        self._done.add(name)

    def finish(self, name: str) -> None:
        """A stage that was started has succeeded."""
        self._release(name)
        self._done.add(name)

    def fail(self, name: str) -> list[str]:
        """A stage that was started has failed: the stages that can therefore never run, now given up."""
        self._release(name)
        lost, skipped = {name}, []
        for other in list(self._waiting):  # in the order of the plan: upstream first
            if self._stages[other].upstream & lost:
                lost.add(other)
                skipped.append(other)
                del self._waiting[other]
        return skipped

    def _release(self, name: str) -> None:
        self._devices += self._held.pop(name)
        self._workers += not self.runs_elsewhere(name)
