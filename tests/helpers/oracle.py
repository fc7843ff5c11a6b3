"""The published method as literal OpenCV, written for reading, not speed: what every fast path must equal.

Iqrah et al. 2024. Pictures are (height, width, 3) u8 in R, G, B order; labels are the project's codes.
"""

import cv2
import numpy as np

from labeling.ice.profile import ThinCloudSettings, ThresholdSettings
from labeling.ice.thinclouds import lookup_table

HSV_RANGES = {
    2: ((0, 0, 205), (185, 255, 255)),  # thick or snow-covered ice
    1: ((0, 0, 31), (185, 255, 204)),  # thin or young ice
    0: ((0, 0, 0), (185, 255, 30)),  # open water
}
PAINT = {2: (255, 0, 0), 1: (0, 0, 255), 0: (0, 255, 0)}


def segment(rgb):
    """Colour thresholds on HSV: a picture with each class painted in its published colour."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    painted = np.zeros_like(rgb)
    for code, (low, high) in HSV_RANGES.items():
        mask = cv2.inRange(hsv, np.array(low), np.array(high))
        painted[mask > 0] = PAINT[code]
    return painted


def label(rgb):
    """The colours of `segment` as class codes."""
    painted = segment(rgb)
    labels = np.full(rgb.shape[:2], 99, np.uint8)
    for code, colour in PAINT.items():
        labels[(painted == colour).all(axis=2)] = code
    return labels


def filter_thin_clouds(rgb):
    """Thin-cloud and shadow filter: the filtered grey picture (0 water, 155 thin, 255 thick)."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    water = cv2.inRange(hsv, np.array(HSV_RANGES[0][0]), np.array(HSV_RANGES[0][1])) > 0
    white_water = rgb.copy()
    white_water[water] = (255, 255, 255)
    grey = cv2.cvtColor(white_water, cv2.COLOR_RGB2GRAY)

    dilated = cv2.dilate(grey, np.ones((7, 7), np.uint8))
    background = cv2.medianBlur(dilated, 155)
    difference = 255 - cv2.absdiff(grey, background)

    _, stretched = cv2.threshold(difference, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    stretched = cv2.normalize(stretched, None, 0, 255, cv2.NORM_MINMAX)
    _, stretched = cv2.threshold(stretched, 235, 0, cv2.THRESH_TRUNC)
    stretched = cv2.normalize(stretched, None, 0, 255, cv2.NORM_MINMAX)

    filtered = np.where(stretched <= 204, 155, 255).astype(np.uint8)
    filtered[water] = 0
    return filtered


def label_filtered(rgb):
    """Filter, then the colour thresholds on the filtered picture."""
    return label(cv2.cvtColor(filter_thin_clouds(rgb), cv2.COLOR_GRAY2RGB))


def label_guarded(rgb, guard):
    """Filter with the guard of labeling/ice/filter_guard.py, pixel by pixel as its docstring says."""
    thresholded = label(rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    grey[thresholded == 0] = 255
    background = cv2.medianBlur(cv2.dilate(grey, np.ones((7, 7), np.uint8)), 155)
    span = around(grey, guard.near, np.max) - around(grey, guard.near, np.min)
    smooth = span <= guard.smooth_span

    bright = (grey > 204).astype(int)
    edge = (around(bright, 3, np.max) > around(bright, 3, np.min)) & (thresholded != 0)
    shadowed = in_shadow(edge, edge & (span <= guard.soft_span), guard)

    greyish = (grey >= guard.smooth_from) & (grey <= 204)
    smooth_near, near = (around(layer, guard.window, np.sum) for layer in (greyish & smooth, greyish))
    between = (background >= guard.background_min) & (smooth_near >= guard.smooth_share * near)
    free = (background >= guard.background_bright) | (grey > 204)
    difference = (255 - cv2.absdiff(grey, background)) & 252
    counts = np.bincount(difference.ravel(), minlength=256)
    table = lookup_table(counts, ThinCloudSettings(), ThresholdSettings())
    labels = thresholded.copy()
    labels[(thresholded == 1) & (free | (between & shadowed)) & (table[difference] == 2)] = 2
    return labels


def in_shadow(edge, soft, guard):
    """Return where the edges of a pixel's cell and the cells beside it are soft enough for shadow."""
    shadowed, side = np.zeros(edge.shape, bool), guard.cell
    for row in range(0, edge.shape[0], side):
        for column in range(0, edge.shape[1], side):
            region = (
                slice(max(0, row - side), row + 2 * side),
                slice(max(0, column - side), column + 2 * side),
            )
            enough = edge[region].any() and soft[region].sum() >= guard.soft_share * edge[region].sum()
            shadowed[row : row + side, column : column + side] = enough
    return shadowed


def around(values, side, function):
    """Return a function of the square window around each pixel, cut off at the border."""
    reach, (height, width) = side // 2, values.shape
    found = np.empty((height, width), int)
    for row in range(height):
        for column in range(width):
            rows, columns = (
                slice(max(0, row - reach), row + reach + 1),
                slice(max(0, column - reach), column + reach + 1),
            )
            found[row, column] = function(values[rows, columns])
    return found
