"""The published method as literal OpenCV, written for reading, not speed: what every fast path must equal.

Iqrah et al. 2024. Pictures are (height, width, 3) u8 in R, G, B order; labels are the project's codes.
"""

import cv2
import numpy as np

from labeling.ice.profile import ThinCloudSettings, ThresholdSettings
from labeling.ice.shadow_cells import evidence, load_weights
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


def label_guarded(rgb, guard, weights=None):
    """Filter with the guard of labeling/ice/filter_guard.py, pixel by pixel as its docstrings say."""
    thresholded = label(rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    grey[thresholded == 0] = 255
    background = cv2.medianBlur(cv2.dilate(grey, np.ones((7, 7), np.uint8)), 155)
    difference = 255 - cv2.absdiff(grey, background)
    grid = cell_counts(grey, background, thresholded == 0, guard)
    levels = grid_evidence(grid, guard, weights)
    opened = np.array(
        [[between(levels, row, column, guard.cell) > 0 for column in range(grey.shape[1])]
         for row in range(grey.shape[0])]
    )  # fmt: skip
    steps = difference & 252
    table = lookup_table(np.bincount(steps.ravel(), minlength=256), ThinCloudSettings(), ThresholdSettings())
    labels = thresholded.copy()
    # What is bright in grey is free of the guard, and thick by its colours nearly always.
    labels[(thresholded == 1) & (opened | (grey > 204)) & (table[steps] == 2)] = 2
    return labels


def cell_counts(grey, background, water, guard):
    """Count, cell by cell, pixels by sort and edges by softness: (rows, columns, 11 + 6)."""
    span = around(grey, guard.near, np.max) - around(grey, guard.near, np.min)
    bright = (grey > 204).astype(int)
    edge = around(bright, 3, np.max) > around(bright, 3, np.min)
    height, width = grey.shape
    grid = np.zeros((-(-height // guard.cell), -(-width // guard.cell), 17), np.int64)
    for row in range(height):
        for column in range(width):
            cell = grid[row // guard.cell, column // guard.cell]
            if water[row, column]:
                cell[0] += 1
                continue
            here, behind = int(grey[row, column]), int(background[row, column])
            if here > 204:
                cell[7 + sum(here >= level for level in guard.snow_levels)] += 1
            elif abs(here - behind) <= guard.reach:
                cell[2 + sum(behind >= level for level in guard.background_levels)] += 1
            else:
                cell[1] += 1
            softness = 1 + sum(span[row, column] <= bound for bound in guard.spans)
            cell[11 + (softness if edge[row, column] else 0)] += 1
    return grid


def grid_evidence(grid, guard, weights=None):
    """Return the evidence of each cell, -3..3, after the region's edges."""
    found = np.clip(evidence(grid, weights or load_weights(guard.evidence)), -3, 3)
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            region = grid[max(0, row - 7) : row + 8, max(0, column - 7) : column + 8]
            if region[..., 15:].sum() <= guard.soft_share * region[..., 12:].sum():
                found[row, column] = -3
    return found


def between(levels, row, column, side):
    """Interpolate between the middles of cells."""
    places = []
    for place, cells in ((row, levels.shape[0]), (column, levels.shape[1])):
        at = min(max((place + 0.5) / side - 0.5, 0), cells - 1)
        first = int(at)
        places.append((first, min(first + 1, cells - 1), at - first))
    (top, low, down), (left, right, along) = places
    upper = levels[top, left] * (1 - along) + levels[top, right] * along
    lower = levels[low, left] * (1 - along) + levels[low, right] * along
    return upper * (1 - down) + lower * down


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
