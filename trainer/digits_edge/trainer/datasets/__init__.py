"""Reading digits: bundled MNIST, IDX, Kaggle CSV, npz, pictures; and writing some to try things on."""

from digits_edge.trainer.datasets.dataset import Dataset, Images, Labels, Split, split_validation
from digits_edge.trainer.datasets.digits import Digits, read_images
from digits_edge.trainer.datasets.load import load_dataset
from digits_edge.trainer.datasets.samples import Samples, write_samples
from digits_edge.trainer.datasets.submission import write_submission

__all__ = [
    "Dataset",
    "Digits",
    "Images",
    "Labels",
    "Samples",
    "Split",
    "load_dataset",
    "read_images",
    "split_validation",
    "write_samples",
    "write_submission",
]
