"""Ask real Caffe what random_requests.py lists, and store hashes of the answers in random.json.

From the repository root: python -m tests.torchcaffe.golden.make_random_golden
"""

import json

from tests.torchcaffe import random_requests
from tinynet.engine import discovery

answers = random_requests.ask(discovery.find_caffe().python)
text = json.dumps({key: random_requests.describe(answers[key]) for key in answers}, indent=0)
random_requests.GOLDEN.write_text(text + "\n")
print(f"{random_requests.GOLDEN}: {len(answers)} answers")
