"""Reads event files with Python's tensorboard (`pip install tensorboard`) and compares them.

    export POTSTILL_TENSORBOARD_FOLDER=runs/board
    cargo test --release -p potstill-train --lib tensorboard
    python crates/potstill-train/tests/read_tensorboard.py $POTSTILL_TENSORBOARD_FOLDER
"""

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

events = EventAccumulator(sys.argv[1])
events.Reload()


def points(tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


# Steps 1 to 3, then a run that goes on with step 3: the first 3 is gone.
assert points("train/loss") == [(step, 0.5) for step in range(1, 6)], points("train/loss")
assert points("train/tokens_per_second") == [(step, 40.0) for step in range(1, 6)]
assert points("evaluation/kl") == [(5, 0.25)], points("evaluation/kl")
assert events.SummaryMetadata("samples/0").plugin_data.plugin_name == "text"
text = tensor_util.make_ndarray(events.Tensors("samples/0")[-1].tensor_proto).item().decode()
assert "    2 + 2 =" in text and "    *not* markup" in text, text
print(f"{len(events.Tags()['scalars'])} scalars and {len(events.Tags()['tensors'])} texts, all as written")
