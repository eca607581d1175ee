"""``python -m tinynet.torchcaffe SCRIPT ARGS``: run a pycaffe script with this engine."""

import sys

from tinynet.torchcaffe.pycaffe import script

if __name__ == "__main__":
    sys.exit(script.main())
