"""A client's part in rounds: what lies between a request and what is remembered once the server has taken the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from bramble_client.acquire import data_updates
from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder
from bramble_client.allowance import Allowance
from bramble_client.deliver.outbox import Item, Outbox
from bramble_client.learn.measures import guarded
from bramble_client.learn.memory import Memory
from bramble_client.learn.pace import BrokenOff, NotNow, Pace
from bramble_client.learn.trainer import Result, Trainer
from bramble_client.learn.training_queue import TrainingQueue
from bramble_client.machine.strain import Strain
from bramble_client.use.attention import Attention
from bramble_client.use.forecaster import Forecaster, Mirror
from bramble_client.use.inference import Inference, forecast_in
from bramble_client.use.latest import Latest
from bramble_client.use.received import Received
from bramble_protocol import codecs
from bramble_protocol.clock import Clock
from bramble_protocol.graph import Manifest
from bramble_protocol.messages import Channel, ClientUpdate, forecast_of, next_of

log = logging.getLogger(__name__)


class Participation:
    """Trains as it is asked, by what this client recorded and remembers, and puts the answers into the outbox.

    Parameters
    ----------
    trainer
        Does a run.
    recorder, outbox
        What it trains on, and where answers and forecasts go.
    cycles
        Waited for before a run: readings of simulated sensors that the server asked for before a round belong into it. None for real ones.
    strain
        Whether the machine is hot.
    halted
        Returns why its owner does not let it train now, or None.
    latest
        Where it says what it forecasts.
    attention
        Looks at what it forecasts.
    allowance
        Says what an answer may tell, and has it tell no more.
    private
        Whether what it tells is guarded, and nothing is mirrored.
    serves
        Asks whether a graph, by its digest, is still the server's.
    clock
        Says when a request came, and until when its answer counts.
    """

    def __init__(
        self,
        trainer: Trainer,
        recorder: Recorder,
        outbox: Outbox,
        cycles: Cycles | None,
        strain: Strain,
        halted: Callable[[], str | None],
        latest: Latest,
        attention: Attention,
        allowance: Allowance,
        *,
        private: bool,
        serves: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._trainer, self._recorder, self._outbox, self._cycles = trainer, recorder, outbox, cycles
        self._strain, self._halted, self._private, self._clock = strain, halted, private, clock
        self._attention, self._allowance = attention, allowance
        self.memory = Memory(recorder)
        """What goes on from round to round."""
        self.forecaster = Forecaster(trainer, recorder, self.memory, latest, self._mirror_next)
        """What is forecast beside the rounds, and its thread."""
        self.queue = TrainingQueue(self._train, outbox, self._mirror, self._note, serves, clock)
        """What is asked for, and its thread."""
        self.masked: Callable[[ClientUpdate, Result, Callable[[], bool]], Result] = lambda update, result, wanted: result
        """Masks the answer to a secure round."""
        self.told: Mirror = lambda *told: None
        """Whoever else takes what is forecast; must not block."""

    def accepted(self, item: Item) -> None:
        """Remember what a run left, now that the server has taken its answer."""
        if item.event == "training_complete":
            log.info("round %d%s: the server took this client's update", item.payload["round"], item.task and f" of {item.task}")
            with self.memory.lock:
                if self._outbox.holds(item):
                    # only now: what a lost or late result was tested on may be tested again, by the next global model
                    self.memory.note(item.task, item.note)
            self.forecaster.changed(item.task)

    def _train(self, update: ClientUpdate, received: float) -> Result:
        with self.memory.lock:
            if self.queue.wanted:  # else a reset has forgotten it already
                self.forecaster.received(update)
        if self._cycles is not None:
            self._cycles.wait(update.config.deadline_s / 2)
        if halted := self._halted():
            raise NotNow(halted)
        self._allowance.check(update)
        if update.extras.control is not None or codecs.find(update.reply_encoding).partial:
            self._settle(update)
        noted, until = self.memory.local_state(update.task), self.memory.tested_until(update.task)
        if self._private:  # what an evaluation told a mean of is told in no other, or what lies between the two would be told
            until = max(filter(None, (until, self.memory.trained.scored_until(update.task))), default=None)
        try:
            result = self._trainer.run(update, self._recorder.columns, until, received, noted, self._pace())
        finally:
            self._strain.over()
        if self._private:
            result = guarded(result, self.memory.untold(update.task))
        if self._allowance.adds_noise:
            result = self._allowance.noised(update, result)
        if update.secure:
            result = self.masked(update, result, lambda: self.queue.wanted)
        self._allowance.spend(update)
        return result

    def _note(self, update: ClientUpdate, result: Result) -> None:
        with self.memory.lock:
            self.memory.trained.note(update.task, update.round, result.tested_until)

    def _settle(self, update: ClientUpdate) -> None:
        """Wait for what the server says of the last answer, which is on its way: by that is known which control
        the next one goes on with, and what is to be added to it.
        """
        if not self._outbox.settled(update.task, 0.0):
            log.info("round %d of %s: waits until the server says whether it took the last answer", update.round, update.task)
        while not self._outbox.settled(update.task, 1.0):
            if not self.queue.wanted:
                raise BrokenOff("broken off before it began")

    def _pace(self) -> Pace:
        training = self.queue
        return Pace(
            lambda: training.wanted, self._halted, strained=self._strain, rest=training.rest, until=training.until, clock=self._clock
        )

    def _mirror(self, update: ClientUpdate, result: Result) -> None:
        """Mirror the forecasts of windows that were tested, stamped with the time they are for."""
        if self._private or not result.forecasts:
            return
        manifest = self._trainer.graphs.get(update.graph).manifest
        self._put(f"forecasts of {update.task}", update.forecast or forecast_of(manifest.target), manifest, result.forecasts)

    def _mirror_next(self, task: str, model: Received, manifest: Manifest, found: Inference) -> None:
        """Look at an answer, and mirror a forecast of what is still to come."""
        self._attention.told(task, model, manifest, found)
        self.told(task, model, manifest, found)
        value = forecast_in(manifest, found.outputs)
        if not self._private and value is not None:
            name = next_of(model.forecast or forecast_of(manifest.target))
            if name is not None:
                self._put(f"next forecast of {task}", name, manifest, [(found.at, value)])

    def _put(self, what: str, name: str, manifest: Manifest, found: Sequence[tuple[float, float]]) -> None:
        target = next(channel for channel in manifest.channels if channel.key == manifest.target)
        channel = Channel(name, target.unit)
        for message in data_updates.forecasts(channel, found):
            self._outbox.put_readings(f"{what} from {message.t[0]!r}", "data_update", message.to_wire())
