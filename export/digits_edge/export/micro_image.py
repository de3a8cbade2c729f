"""The C that makes an image of a picture: ``digits_edge.runtime.normalize`` without NumPy or a heap."""

from __future__ import annotations

# Parts of templates: ${id} is the model's name.
IMAGE_DECLARATION = """\
/* Makes the input of a grey picture of one digit, dark on light or the reverse, as MNIST was made: what is
 * fainter than strokes becomes background, the digit is scaled to 20x20 and centred by its mass in 28x28.
 * width and height are 2 or more; rows follow each other without gaps. Takes some 4 KB of stack.
 * Returns 1; 0 where the picture shows no ink: then the image is all background. */
int ${id}_image(const uint8_t *grey, int width, int height, uint8_t image[${ID}_PIXELS]);
"""

IMAGE_SOURCE = """\
enum { SIZE = 28, BOX = 20, CENTRE = 14, INKS = 512, FAINTEST_INK = 24 };

/* Ink is counted in half grey levels, as the paper's grey may lie between two. What has more of it than
 * threshold is a stroke; floor becomes background, full becomes ink. */
typedef struct {
  const uint8_t *grey;
  int width, height, paper, sign, threshold;
  float floor, full;
} Picture;

static int ink_at(const Picture *p, int pixel) { return p->sign * (2 * p->grey[pixel] - p->paper); }

static int is_stroke(const Picture *p, int x, int y) {
  return x >= 0 && y >= 0 && x < p->width && y < p->height && ink_at(p, y * p->width + x) > p->threshold;
}

/* What lies in no block of 2x2 strokes is noise. */
static int is_solid(const Picture *p, int x, int y) {
  int found = 0;
  for (int i = 0; i < 4; ++i) {
    const int left = x - i % 2, top = y - i / 2;
    found |= is_stroke(p, left, top) && is_stroke(p, left + 1, top) && is_stroke(p, left, top + 1) &&
             is_stroke(p, left + 1, top + 1);
  }
  return found;
}

/* The value at a rank, counted from 0; between two values where the rank is. */
static double at_rank(const uint32_t counts[INKS], double rank) {
  int value = 0, lower;
  double seen = counts[0];
  while (seen <= floor(rank)) seen += counts[++value];
  lower = value;
  while (seen <= ceil(rank)) seen += counts[++value];
  return lower + (rank - floor(rank)) * (value - lower);
}

/* The grey level that best separates paper from strokes (Otsu 1979). */
static int otsu(const uint32_t counts[INKS], double total) {
  double mass = 0, below = 0, mass_below = 0, best = 0;
  int level = 0;
  for (int ink = 0; ink < INKS; ++ink) mass += (double)counts[ink] * (ink / 2);
  for (int ink = 0; ink < INKS; ink += 2) {
    const double here = (double)counts[ink] + counts[ink + 1];
    below += here;
    mass_below += here * (ink / 2);
    if (below > 0 && below < total) {
      const double apart = mass_below / below - (mass - mass_below) / (total - below);
      const double variance = below * (total - below) * (apart * apart);
      if (variance > best) best = variance, level = ink / 2;
    }
  }
  return level;
}

/* Tells ink from paper, by the grey of the frame; 0 where there is no ink. */
static int find_ink(Picture *p) {
  uint32_t counts[INKS] = {0};
  const int pixels = p->width * p->height, frame = 2 * (p->width + p->height) - 4;
  double squares[2] = {0, 0}, paper = 0;
  int most = 0;
  for (int i = 0; i < pixels; ++i) {
    const int column = i % p->width, row = i / p->width;
    if (!column || !row || column == p->width - 1 || row == p->height - 1) ++counts[p->grey[i]];
  }
  p->paper = (int)(2 * at_rank(counts, (frame - 1) / 2.0));
  for (int i = 0; i < pixels; ++i) squares[ink_at(p, i) < 0] += (double)ink_at(p, i) * ink_at(p, i);
  if (squares[1] >= squares[0]) p->sign = -1;
  for (int i = 0; i < INKS; ++i) counts[i] = 0;
  for (int i = 0; i < pixels; ++i) {
    const int ink = ink_at(p, i) > 0 ? ink_at(p, i) : 0;
    ++counts[ink];
    if (ink > most) most = ink;
  }
  if (most < 2 * FAINTEST_INK) return 0;
  p->threshold = 2 * otsu(counts, pixels);
  for (int i = 0; i <= p->threshold; ++i) paper += counts[i];
  p->floor = (float)p->threshold / 2;
  p->full = fmaxf((float)at_rank(counts, paper + 0.75 * (pixels - paper - 1)), p->floor + 2);
  return 1;
}

/* One pixel of the scaled digit: linear resampling; shrinking, wide enough that no pixel is skipped. */
static float sample(const Picture *p, const int corner[2], const int size[2], const int to[2], int x, int y) {
  const float scale[2] = {(float)size[0] / (float)to[0], (float)size[1] / (float)to[1]};
  const float reach[2] = {fmaxf(scale[0], 1), fmaxf(scale[1], 1)};
  const float at[2] = {((float)x + 0.5f) * scale[0] - 0.5f, ((float)y + 0.5f) * scale[1] - 0.5f};
  float sum = 0, weights = 0;
  for (int j = (int)fmaxf(ceilf(at[1] - reach[1]), 0); j < size[1] && (float)j < at[1] + reach[1]; ++j) {
    for (int i = (int)fmaxf(ceilf(at[0] - reach[0]), 0); i < size[0] && (float)i < at[0] + reach[0]; ++i) {
      const float ink = (float)ink_at(p, (corner[1] + j) * p->width + corner[0] + i);
      const float row = 1 - fabsf((float)j - at[1]) / reach[1];
      const float column = 1 - fabsf((float)i - at[0]) / reach[0];
      sum += row * column * fminf(fmaxf((ink - p->floor) / (p->full - p->floor), 0), 1);
      weights += row * column;
    }
  }
  return sum / weights;
}

int ${id}_image(const uint8_t *grey, int width, int height, uint8_t image[${ID}_PIXELS]) {
  Picture p = {grey, width, height, 0, 1, 0, 0, 0};
  const int last[2] = {width - 1, height - 1};
  int low[2][2] = {{width, height}, {width, height}}, high[2][2] = {{0, 0}, {0, 0}}, found[2] = {0, 0}, solid;
  int corner[2], size[2], to[2], place[2];
  float digit[BOX][BOX], most = 1e-6f, mass = 0, moments[2] = {0, 0};
  for (int i = 0; i < ${ID}_PIXELS; ++i) image[i] = 0;
  if (width < 2 || height < 2 || !find_ink(&p)) return 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int at[2] = {x, y};
      for (int i = 0; i < 2 && (i ? is_solid(&p, x, y) : is_stroke(&p, x, y)); ++i) {
        ++found[i];
        for (int j = 0; j < 2; ++j) {
          if (at[j] < low[i][j]) low[i][j] = at[j];
          if (at[j] > high[i][j]) high[i][j] = at[j];
        }
      }
    }
  }
  solid = found[1] >= 0.9 * found[0]; /* a line one pixel wide is not */
  for (int i = 0; i < 2; ++i) { /* one pixel more on each side keeps the soft edge of the stroke */
    corner[i] = low[solid][i] > 0 ? low[solid][i] - 1 : 0;
    size[i] = (high[solid][i] < last[i] ? high[solid][i] + 1 : last[i]) - corner[i] + 1;
  }
  for (int i = 0; i < 2; ++i) {
    const int longer = size[0] > size[1] ? size[0] : size[1];
    to[i] = (int)fmaxf(rintf((float)(size[i] * BOX) / (float)longer), 1);
  }
  for (int y = 0; y < to[1]; ++y) {
    for (int x = 0; x < to[0]; ++x) {
      digit[y][x] = sample(&p, corner, size, to, x, y);
      most = fmaxf(most, digit[y][x]);
      mass += digit[y][x];
      moments[0] += (float)x * digit[y][x];
      moments[1] += (float)y * digit[y][x];
    }
  }
  for (int i = 0; i < 2; ++i) {
    place[i] = (int)fminf(fmaxf(rintf(CENTRE - moments[i] / mass), 0), (float)(SIZE - to[i]));
  }
  for (int i = 0; i < to[0] * to[1]; ++i) {
    const int x = i % to[0], y = i / to[0];
    image[(place[1] + y) * SIZE + place[0] + x] = (uint8_t)rintf(255 * digit[y][x] / most);
  }
  return 1;
}
"""
