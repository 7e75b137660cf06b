"""`python -m tests.app.matrix`: writes the table into README.md."""

from tests.app.matrix.table import write
from tests.running import ROOT

write(ROOT / "README.md")
