"""Loads folders with transformers and writes their logits.

Argument: a JSON file {"folders": [{"path", "batch", "logits", "text"}]}; logits go to that file as float32.
Prints JSON {"release", "torch", "folders": [{"class", "shape", "from_f64", "encoded", "card"}]}.
"""

import json
import sys

import torch
import transformers
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
request = json.load(open(sys.argv[1]))
folders = []
for folder in request["folders"]:
    model = AutoModelForCausalLM.from_pretrained(
        folder["path"], dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ids = torch.tensor(folder["batch"])
    with torch.no_grad():
        logits = model(ids).logits
        from_f64 = (logits - model.double()(ids).logits).abs().max().item()
    logits.numpy().astype("<f4").tofile(folder["logits"])
    encoded = None
    if folder["text"] is not None:
        encoded = AutoTokenizer.from_pretrained(folder["path"])(folder["text"])["input_ids"]
    card = ModelCard.load(folder["path"] + "/README.md").data.to_dict()
    folders.append(
        {
            "class": type(model).__name__,
            "shape": list(logits.shape),
            "from_f64": from_f64,
            "encoded": encoded,
            "card": card,
        }
    )
print(json.dumps({"release": transformers.__version__, "torch": torch.__version__, "folders": folders}))
