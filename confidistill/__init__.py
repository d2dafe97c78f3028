"""Distil a classifier and know that the student is as sure as its teacher."""
