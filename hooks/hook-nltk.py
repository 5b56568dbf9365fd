"""Without this: PyInstaller's own hook puts whatever `nltk_data` the building machine has, models
of other programs among them, into the bundle.

The worker hands whisperx a sentence splitter without data, so none is needed.
"""

hiddenimports = ["nltk.chunk.named_entity"]
excludedimports = ["nltk.test", "nltk.app", "nltk.draw"]
