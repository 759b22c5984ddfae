#!/usr/bin/env bash
# pydicom 3.0.2: `apply_voi` keeps the positions in a VOI LUT in the type of its entries, so that a
# table of 8-bit entries with more than 256 of them is read at the position modulo 256.
# Valid by DICOM PS3.3, C.11.2.1.1: the number of entries and the bits of an entry are independent.
# The modality LUT, of the same form, is applied right by `apply_modality_lut`.
# Expected: 6, 62 and 250 (value / 16) for 100, 1000 and 4000. Got: 6, 14 and 10.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pydicom==3.0.2 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

table = Dataset()
table.LUTDescriptor = [4096, 0, 8]
table.add_new("LUTData", "US", (np.arange(4096) // 16).tolist())
voi, modality = Dataset(), Dataset()
voi.VOILUTSequence, modality.ModalityLUTSequence = [table], [table]
values = np.array([100, 1000, 4000], np.uint16)
shown, measured = apply_voi(values, voi), apply_modality_lut(values, modality)
print("pydicom", pydicom.__version__, "VOI LUT", shown, "modality LUT", measured)
assert measured.tolist() == [6, 62, 250]
assert shown.tolist() == [6, 14, 10]
PYTHON
