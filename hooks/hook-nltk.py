"""Without this, PyInstaller's own hook bundles all `nltk_data` of the building machine, including
the models of other programs.

The worker gives whisperx a sentence splitter that needs no data.
"""

hiddenimports = ["nltk.chunk.named_entity"]
excludedimports = ["nltk.test", "nltk.app", "nltk.draw"]
