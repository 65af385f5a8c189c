"""Heals a student with fewer layers in PyTorch: the other side of `study heal`.

    python heal_torch.py FOLDER [--dtype f32|bf16] [--learning-rate 5e-4] --out FILE

FOLDER holds teacher/ and student/ (Hugging Face folders) and rows.json: blocks of token ids to train on, in
their order, blocks that are held out, and how many make a batch. Forward KL on all positions, only the
final hidden states kept of the teacher, the loss in chunks of 128 rows with checkpointing (the fastest of
the recipes in `step_torch.py`), AdamW as ours, linear warm-up and a cosine to a tenth. With bf16 the teacher
is bf16 and the student runs under autocast. Needs torch and transformers.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM

CHUNK = 128


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    return parser.parse_args()


def rate(step, steps, peak):
    """The factor of step `step`, counted from 0."""
    warmup = steps // 20
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))


def divergence(hidden, head, teacher_hidden, teacher_head):
    def piece(hidden, teacher_hidden):
        student = F.log_softmax((hidden @ head.to(hidden.dtype).T).float(), -1)
        teacher = F.log_softmax((teacher_hidden @ teacher_head.T).float(), -1)
        return F.kl_div(student, teacher, log_target=True, reduction="sum")

    pieces = zip(hidden.split(CHUNK), teacher_hidden.split(CHUNK))
    return sum(checkpoint(piece, *pair, use_reentrant=False) for pair in pieces) / len(hidden)


def measure(student, teacher, blocks):
    same = total = kl = 0.0
    with torch.no_grad():
        for block in blocks:
            tokens = torch.tensor([block[:-1]])
            q = F.log_softmax(student(tokens).logits[0].float(), -1)
            p = F.log_softmax(teacher(tokens).logits[0].float(), -1)
            same += (q.argmax(-1) == p.argmax(-1)).sum().item()
            kl += F.kl_div(q, p, log_target=True, reduction="sum").item()
            total += len(q)
    return {"top1_agreement": same / total, "forward_kl": kl / total}


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    half = args.dtype == "bf16"
    load = lambda name, dtype: AutoModelForCausalLM.from_pretrained(args.folder / name, dtype=dtype)
    teacher = load("teacher", torch.bfloat16 if half else torch.float32).eval()
    student = load("student", torch.float32).train()
    rows = json.loads((args.folder / "rows.json").read_text())
    train, batch = rows["train"], rows["batch"]
    steps = len(train) // batch
    # What ours decays: matrices, not norms.
    matrices = [p for p in student.parameters() if p.dim() > 1]
    vectors = [p for p in student.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.999), eps=1e-8)

    start = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, args.learning_rate)
        tokens = torch.tensor([block[:-1] for block in train[step * batch : (step + 1) * batch]])
        with torch.no_grad():
            teacher_hidden = teacher.model(tokens).last_hidden_state.flatten(0, 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            hidden = student.model(tokens).last_hidden_state.flatten(0, 1)
            loss = divergence(hidden, student.lm_head.weight, teacher_hidden, teacher.lm_head.weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start

    reference = load("teacher", torch.float32).eval()
    answer = {**measure(student.eval(), reference, rows["held_out"]), "seconds": seconds}
    args.out.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
