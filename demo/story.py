"""What is begun in which order, and waited for."""

from datetime import datetime
from pathlib import Path

from demo import bank
from demo.airflow_api import AirflowApi
from demo.screen import Screen
from demo.watching import Watch

CONSUMERS, PRODUCER, ARRIVAL = ("shop_report", "shop_abroad", "rates"), "shop", "rates.arrive"
SLOTS = 2  # fewer than tasks that wait
LIMIT = 180.0  # seconds for each part: twenty on an idle machine


def play(api: AirflowApi, screen: Screen, watch: Watch, inbox: Path, day: datetime) -> None:
    """Begin the runs, those that wait first, and look on until all have ended."""
    screen.headline("Those who need data begin first")
    waits = len(CONSUMERS)
    screen.paragraph(
        f"Nothing of what they need is there yet. There are {SLOTS} worker slots, and {waits} tasks wait."
    )
    for dag_id in CONSUMERS:
        api.unpause(dag_id)
        watch.begin(api.trigger(dag_id, logical_date=day))
    claim = f"{waits} tasks wait, and no slot is taken"
    watch.until(lambda slots: (slots.deferred, slots.occupied) == (waits, 0), claim, limit=LIMIT)
    screen.ready(claim)
    screen.headline("The data comes: orders from a DAG, exchange rates from a bank that takes its time")
    api.unpause(PRODUCER)
    watch.begin(api.trigger(PRODUCER, logical_date=day))

    def tell(what: str) -> None:
        screen.outside(f"{what}; {ARRIVAL} is {watch.states[ARRIVAL]}")

    with bank.dropping(inbox, day, tell=tell):
        watch.until(lambda _: watch.is_over, "all runs have ended", limit=LIMIT)
    watch.look()
