"""Tokenizing and grouping with `datasets.map`: the other side of `cargo xtask bench tokenize`.

    yes "" | head -3 | python datasets_map.py CORPUS.jsonl tokenizer.json [--way transformers|tokenizers]
                                              [--processes 2] [--seq 1024]

A turn reads the texts from the Arrow table that `load_dataset` made of the corpus before, encodes them,
puts an end-of-text token after each, cuts the stream into rows of --seq tokens as `run_clm.py` does, and
writes the rows to an Arrow file. The way `transformers` calls a `PreTrainedTokenizerFast`, as most scripts do;
`tokenizers` calls what is beneath it, `encode_batch_fast`. Needs datasets and transformers.
"""

import argparse
import itertools
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
# Each process has one thread, as `datasets` wants it: the library beneath would otherwise start more.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
from transformers import PreTrainedTokenizerFast

import turns


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", help="JSONL with a key `text`")
    parser.add_argument("tokenizer", help="tokenizer.json")
    parser.add_argument("--way", choices=["transformers", "tokenizers"], default="transformers")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seq", type=int, default=1024)
    parser.add_argument("--eos", default="<|im_end|>")
    return parser.parse_args()


def main():
    args = arguments()
    datasets.disable_progress_bars()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=args.tokenizer)
    eos = tokenizer.convert_tokens_to_ids(args.eos)

    def encode(texts):
        if args.way == "transformers":
            return tokenizer(texts, add_special_tokens=True, return_attention_mask=False)["input_ids"]
        return [encoding.ids for encoding in tokenizer.backend_tokenizer.encode_batch_fast(texts)]

    def rows(batch):
        stream = list(itertools.chain.from_iterable(ids + [eos] for ids in encode(batch["text"])))
        return {"input_ids": [stream[begin : begin + args.seq] for begin in range(0, len(stream), args.seq)]}

    with tempfile.TemporaryDirectory() as folder:
        corpus = datasets.load_dataset("json", data_files=args.corpus, split="train", cache_dir=folder)
        corpus = corpus.select_columns(["text"])

        def turn():
            packed = corpus.map(
                rows,
                batched=True,
                batch_size=1000,
                num_proc=args.processes,
                remove_columns=["text"],
                load_from_cache_file=False,
                cache_file_name=os.path.join(folder, "rows.arrow"),
            )
            lengths = (len(ids) for ids in packed.with_format("arrow").data.column("input_ids"))
            return {"rows": len(packed), "tokens": sum(lengths)}

        turns.take(turn)


if __name__ == "__main__":
    main()
