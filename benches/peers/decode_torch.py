"""Greedy decoding with transformers: the other side of `cargo xtask bench decode`.

    python decode_torch.py [--gguf PATH] [--batch 1 16] [--prompt 32] [--new 128] [--runs 5] [--threads 2]
                           [--dtype f32|bf16] [--json]

Without --gguf the model has SmolLM2-135M's shape and random weights: what a token costs does not
depend on them. `generate` never stops before --new tokens. A run is one call: the prompts are read
in one pass, then --new tokens are chosen for each. Needs torch and transformers, with --gguf also
the package gguf.
"""

import argparse
import json
import os
import resource
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM

import turns

VOCAB = 49152
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gguf", help="weights of SmolLM2-135M; random ones without")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--prompt", type=int, default=32, help="tokens of each prompt")
    parser.add_argument("--new", type=int, default=128, help="tokens to generate")
    parser.add_argument("--runs", type=int, default=5, help="measured calls, after one to warm up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--json", action="store_true", help="one JSON object a batch size")
    parser.add_argument("--turns", action="store_true", help="one call for each line of stdin (see turns.py)")
    return parser.parse_args()


def load(args):
    if args.gguf:
        folder, file = os.path.split(os.path.abspath(args.gguf))
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=DTYPES[args.dtype])
    else:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            rms_norm_eps=1e-5,
            rope_theta=100000.0,
            tie_word_embeddings=True,
        )
        model = LlamaForCausalLM(config).to(DTYPES[args.dtype])
    return model.eval()


def tokens(count, stream):
    """The same ids as `benches::tokens`."""
    mixed = [((i ^ ((stream << 16) & 0xFFFFFFFF)) * 0x9E3779B1) & 0xFFFFFFFF for i in range(count)]
    return [(value >> 8) % VOCAB for value in mixed]


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    model = load(args)
    settings = GenerationConfig(
        do_sample=False, min_new_tokens=args.new, max_new_tokens=args.new, eos_token_id=None, pad_token_id=0
    )
    for batch in args.batch:
        prompts = torch.tensor([tokens(args.prompt, row) for row in range(batch)])
        mask = torch.ones_like(prompts)

        def generate():
            with torch.inference_mode():
                return model.generate(prompts, attention_mask=mask, generation_config=settings)

        if args.turns:
            turns.take(lambda: {"tokens": generate()[:, args.prompt :].numel()})
            continue
        seconds = []
        for _ in range(args.runs + 1):
            start = time.perf_counter()
            out = generate()
            seconds.append(time.perf_counter() - start)
        assert out.shape == (batch, args.prompt + args.new)
        median = statistics.median(seconds[1:])
        result = {
            "side": "transformers",
            "dtype": args.dtype,
            "batch": batch,
            "prompt": args.prompt,
            "new_tokens": args.new,
            "seconds": round(median, 4),
            "seconds_min": round(min(seconds[1:]), 4),
            "tokens_per_second": round(batch * args.new / median, 2),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "first_tokens": out[0, args.prompt : args.prompt + 8].tolist(),
        }
        if args.json:
            print(json.dumps(result), flush=True)
        else:
            print(" ".join(f"{key}={value}" for key, value in result.items()), flush=True)


if __name__ == "__main__":
    main()
