"""TinyBERT's augmentation: a masked LM and word vectors vary the training sentences."""
