"""The reference step in PyTorch: the other side of `cargo xtask bench peers`.

    yes "" | head -3 | python step_torch.py [--loss full|trl|chunked] [--dtype f32|bf16] [--counted N]

A teacher of SmolLM2-135M's shape (30 layers), a student of ten of them, random weights, forward KL on
the positions that count, AdamW on all parameters. What a step costs does not depend on the weights.

    full      both heads' logits of every position, then log_softmax and kl_div
    trl       the same logits through TRL's generalized_jsd_loss
    chunked   only the positions that count, 128 at a time, with checkpointing

With --dtype bf16 the teacher's weights are bf16 and the student runs under autocast. `full` and `trl`
project every position and mask afterwards, as trainers do; --select makes them select first.
Needs torch and transformers.
"""

import argparse

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM

import turns

VOCAB = 49152
CHUNK = 128


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--loss", choices=["full", "trl", "chunked"], default="full")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--counted", type=int, help="positions of each sequence that count, from its end")
    parser.add_argument("--select", action="store_true", help="select the positions before the heads")
    parser.add_argument("--teacher-layers", type=int, default=30)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def smollm2(layers):
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_theta=100000.0,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def generalized_jsd(student_logits, teacher_logits, mask):
    """`GKDTrainer.generalized_jsd_loss` of TRL at beta 0 and temperature 1, operation by operation."""
    student = F.log_softmax(student_logits / 1.0, dim=-1)
    teacher = F.log_softmax(teacher_logits / 1.0, dim=-1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True)
    divergence = divergence[mask] if mask is not None else divergence
    return divergence.sum() / (mask.sum() if mask is not None else student_logits[..., 0].numel())


def forward_kl(student_logits, teacher_logits, mask):
    student = F.log_softmax(student_logits.float(), -1)
    teacher = F.log_softmax(teacher_logits.float(), -1)
    if mask is None:
        return F.kl_div(student, teacher, log_target=True, reduction="sum") / student_logits[..., 0].numel()
    return F.kl_div(student, teacher, log_target=True, reduction="none").sum(-1)[mask].mean()


def chunked(hidden, head, teacher_hidden, teacher_head):
    def piece(hidden, teacher_hidden):
        student = F.log_softmax((hidden @ head.to(hidden.dtype).T).float(), -1)
        teacher = F.log_softmax((teacher_hidden @ teacher_head.T).float(), -1)
        return F.kl_div(student, teacher, log_target=True, reduction="sum")

    pieces = zip(hidden.split(CHUNK), teacher_hidden.split(CHUNK))
    return sum(checkpoint(piece, *pair, use_reentrant=False) for pair in pieces) / len(hidden)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    teacher = smollm2(args.teacher_layers).eval()
    student = smollm2(args.layers).train()
    half = args.dtype == "bf16"
    if half:
        teacher = teacher.to(torch.bfloat16)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4)
    tokens = torch.randint(100, VOCAB - 100, (args.batch, args.seq))
    counted = args.seq if args.counted is None else args.counted
    mask = (torch.arange(args.seq) >= args.seq - counted).expand(args.batch, -1)
    whole = counted == args.seq

    def loss_of(hidden, teacher_hidden):
        head, teacher_head = student.lm_head.weight, teacher.lm_head.weight
        if args.loss == "chunked":
            return chunked(hidden[mask], head, teacher_hidden[mask], teacher_head)
        late = None if whole or args.select else mask
        if args.select and not whole:
            hidden, teacher_hidden = hidden[mask], teacher_hidden[mask]
        divergence = forward_kl if args.loss == "full" else generalized_jsd
        return divergence(hidden @ head.to(hidden.dtype).T, teacher_hidden @ teacher_head.T, late)

    def step():
        with torch.no_grad():
            teacher_hidden = teacher.model(tokens).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            hidden = student.model(tokens).last_hidden_state
            loss = loss_of(hidden, teacher_hidden)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item(), "tokens": tokens.numel(), "rows": args.batch * counted}

    turns.take(step)


if __name__ == "__main__":
    main()
