"""Without this, tracing a PyanNet fails: `Can't get source for <function multishape_conv1d …>`.

To trace, torch compiles functions of the package from their Python source, which must exist as a
file. Loading and running a model, which is all that the worker does, does not need it.
"""

module_collection_mode = "pyz+py"
