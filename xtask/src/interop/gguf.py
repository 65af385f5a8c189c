"""Reads GGUF files with gguf-py and compares them with the Hugging Face folder of the same model.

Argument: a JSON file {"folder", "architecture", "files": [paths]}.
Prints JSON {"release", "files": [{"exact", "searched", "error", "problems"}]}.
"""

import importlib.metadata
import json
import sys

import numpy as np
from gguf import MODEL_ARCH, GGUFReader, get_tensor_name_map, quants
from safetensors.numpy import load_file

request = json.load(open(sys.argv[1]))
folder = request["folder"]
config = json.load(open(f"{folder}/config.json"))
architecture = request["architecture"]
names = get_tensor_name_map(MODEL_ARCH[architecture.upper()], config["num_hidden_layers"])


def neighboring_rows(values, heads):
    """The order of rows that llama.cpp's converter gives to queries and keys."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


expected = {}
for name, values in load_file(f"{folder}/model.safetensors").items():
    stem, kind = name.rsplit(".", 1)
    if architecture == "llama" and stem.endswith("q_proj"):
        values = neighboring_rows(values, config["num_attention_heads"])
    if architecture == "llama" and stem.endswith("k_proj"):
        values = neighboring_rows(values, config["num_key_value_heads"])
    expected[f"{names.get_name(stem)}.{kind}"] = values


def raw(values):
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def compare(path):
    reader = GGUFReader(path)
    found = {tensor.name: tensor for tensor in reader.tensors}
    problems = sorted(set(expected) ^ (set(found) - {"rope_freqs.weight"}))
    exact = searched = 0
    error = norm = 0.0
    for name in sorted(set(expected) & set(found)):
        values, tensor = expected[name], found[name]
        try:
            encoded = quants.quantize(values, tensor.tensor_type)
            if np.array_equal(raw(encoded), raw(tensor.data)):
                exact += 1
            else:
                problems.append(f"{name}: other blocks of {tensor.tensor_type.name}")
        except NotImplementedError:
            searched += 1
        if values.ndim > 1:
            decoded = quants.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
            error += float(np.square(decoded - values, dtype=np.float64).sum())
            norm += float(np.square(values, dtype=np.float64).sum())
    tokens = reader.get_field("tokenizer.ggml.tokens")
    if tokens is not None:
        texts = tokens.contents()
        tokenizer = json.load(open(f"{folder}/tokenizer.json"))
        ids = dict(tokenizer["model"]["vocab"])
        ids.update((token["content"], token["id"]) for token in tokenizer["added_tokens"])
        problems += [f"token {id}" for text, id in ids.items() if texts[id] != text]
    return {
        "exact": exact,
        "searched": searched,
        "error": (error / norm) ** 0.5,
        "problems": problems,
    }


files = [compare(path) for path in request["files"]]
print(json.dumps({"release": importlib.metadata.version("gguf"), "files": files}))
