"""Without this: `Can't get source for <function multishape_conv1d …>` when a PyanNet is traced.

torch then compiles functions of the package from their Python source, which must be there as a
file. Plain loading and running, which is all that the worker does, gets by without.
"""

module_collection_mode = "pyz+py"
