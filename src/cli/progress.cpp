#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace diabolo::cli {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 30;
constexpr int kBarWidth = 24;

std::string number(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

double remaining_s(const TrainProgress& progress) {
  if (progress.step == 0 || progress.samples_per_s <= 0) return -1;
  const double samples_per_step =
      static_cast<double>(progress.samples) / static_cast<double>(progress.step);
  return static_cast<double>(progress.steps - progress.step) * samples_per_step /
         progress.samples_per_s;
}

}  // namespace

std::string short_number(double value) {
  if (value >= 1e6) return number("%.2fM", value / 1e6);
  if (value >= 1e4) return number("%.1fk", value / 1e3);
  return number("%.0f", value);
}

std::string clock_text(double seconds) {
  const long total = std::lround(std::max(seconds, 0.0));
  char text[40];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  }
  return text;
}

std::string bar_text(double share, int width) {
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * width);
  return "[" + std::string(static_cast<size_t>(full), '#') +
         std::string(static_cast<size_t>(width - full), '-') + "]";
}

bool ProgressLine::is_due() {
  const double now_s = seconds_since(start_);
  const double interval_s = terminal_.can_redraw() ? kRedrawSeconds : kLineSeconds;
  if (terminal_.is_silent() || now_s - shown_s_ < interval_s) return false;
  shown_s_ = now_s;
  return true;
}

// On a terminal the bar gives way where the line is too long for it.
void ProgressLine::draw(const Parts& parts) {
  if (!parts.share) {
    const std::string text = parts.before + parts.after;
    return terminal_.can_redraw() ? terminal_.live_line(text) : terminal_.line(text);
  }
  const std::string percent = number("%3.0f%%", 100 * *parts.share);
  if (!terminal_.can_redraw()) return terminal_.line(cat(parts.before, percent, "  ", parts.after));
  const auto columns = static_cast<size_t>(std::max(terminal_.columns() - 1, 1));
  const std::string& before = parts.before;
  std::string bar = bar_text(*parts.share, kBarWidth) + " ";
  if (before.size() + bar.size() + percent.size() + 2 + parts.after.size() > columns) bar.clear();
  const std::string text = cat(before, bar, percent, "  ", parts.after).substr(0, columns);
  if (!terminal_.is_colored() || bar.empty() || text.size() < before.size() + bar.size())
    return terminal_.live_line(text);
  terminal_.live_line(
      cat(before, "\033[36m", bar, "\033[0m", text.substr(before.size() + bar.size())));
}

void ProgressLine::show(const Parts& parts) {
  const bool is_now = is_due();
  if (is_now) draw(parts);
  if (terminal_.is_plain()) not_shown_ = is_now ? std::nullopt : std::optional(parts);
}

void ProgressLine::finish() {
  if (not_shown_ && !terminal_.is_silent()) draw(*not_shown_);
  not_shown_.reset();
}

void ProgressLine::show(const TrainProgress& progress) {
  std::string after =
      cat(short_number(progress.samples_per_s), " samples/s  loss ", number("%.5g", progress.loss));
  if (progress.validation_loss)
    after += cat("  validation ", number("%.5g", *progress.validation_loss));
  const double left_s = remaining_s(progress);
  if (left_s >= 0) after += cat("  ETA ", clock_text(left_s));
  if (progress.terms.size() > 1)  // last, where a narrow terminal cuts
    for (const TermValue& term : progress.terms)
      after += cat("  ", term.name, " ", number("%.5g", term.value));
  const double share = progress.steps == 0 ? 0
                                           : static_cast<double>(progress.step) /
                                                 static_cast<double>(progress.steps);
  show(Parts{share, cat("epoch ", progress.epoch, "/", progress.epochs, " "), after});
}

void ProgressLine::show(const PipelineProgress& progress) {
  const auto rows = static_cast<double>(progress.rows);
  std::string after = cat(short_number(progress.rows_per_s), " rows/s");
  if (!progress.total_rows)
    return show(Parts{std::nullopt, cat(short_number(rows), " rows  "), after});
  const auto total = static_cast<double>(*progress.total_rows);
  if (progress.rows_per_s > 0)
    after += cat("  ETA ", clock_text((total - rows) / progress.rows_per_s));
  show(Parts{total > 0 ? rows / total : 1, "", after});
}

void ProgressLine::show(const EvaluateProgress& progress) {
  const std::string what = progress.pca_pass > 0 ? cat("PCA, pass ", progress.pca_pass, " ") : "";
  const auto rows = static_cast<double>(progress.rows);
  const auto total = static_cast<double>(progress.total_rows);
  const auto share = total > 0 ? std::optional(rows / total) : std::nullopt;
  show(Parts{share, what, cat(short_number(rows), " rows")});
}

}  // namespace diabolo::cli
