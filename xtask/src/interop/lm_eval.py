"""Reads a results file of ours with the harness' own code; argument: the file."""

import json
import sys

from lm_eval.utils import make_table

with open(sys.argv[1], encoding="utf-8") as file:
    results = json.load(file)
print(make_table(results))
if "groups" in results:
    print(make_table(results, "groups"))
