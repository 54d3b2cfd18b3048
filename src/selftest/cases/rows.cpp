// row_score and gather: rows of data.
#include "kernels/gather.h"
#include "kernels/score.h"
#include "ops/gather.h"
#include "ops/row_score.h"
#include "ops/training.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {
namespace {

template <class T>
void row_score(ReferenceCall<T>& call) {
  const int64_t worst = attrs_of<RowScoreAttrs>(call).worst;
  const TensorDesc& y = call.in_desc[0];
  kernels::row_score_reference<T>(
      {.B = y.extent(0),
       .D = row_elems(y),
       .M = worst,
       .y = call.input(0),
       .target = call.input(1),
       .score = call.output(0),
       .worst_index = worst > 0 ? call.template raw_output<uint32_t>(1) : nullptr,
       .worst_error = worst > 0 ? call.output(2) : nullptr});
}

template <class Source, class T>
void gather_from(ReferenceCall<T>& call, const Source* source) {
  const auto attrs = attrs_of<GatherAttrs>(call);
  const TensorDesc& desc = call.in_desc[0];
  const size_t order = attrs.scaled ? 3 : 1;
  kernels::gather_reference<Source, T>(
      {.N = desc.extent(0),
       .B = attrs.rows,
       .D = row_elems(desc),
       .source = source,
       .order = attrs.indexed ? call.template raw_input<uint32_t>(order) : nullptr,
       .state = attrs.indexed ? call.template raw_input<kernels::StepState>(order + 1) : nullptr,
       .shift = attrs.scaled ? call.input(1) : nullptr,
       .scale = attrs.scaled ? call.input(2) : nullptr,
       .out = call.output(0)});
}

template <class T>
void gather(ReferenceCall<T>& call) {
  if (call.in_desc[0].dtype() == DType::kU8)
    gather_from<uint8_t>(call, call.template raw_input<uint8_t>(0));
  else
    gather_from<float>(call, call.template raw_input<float>(0));
}

struct Rows {
  int64_t B, D;
};
constexpr Rows kRows[] = {{1, 1},   {3, 5},   {7, 31},   {16, 64},  {17, 65},
                          {2, 127}, {3, 128}, {64, 129}, {33, 257}, {257, 3}};

void list_row_score(CaseList& list) {
  for (const DType dtype : kComputeTypes) {
    const TensorDesc images(dtype, {5, 3, 4, 2});
    list.add(kRowScore, RowScoreAttrs{3}, cat(images.text(), " worst 3 integers"),
             {{images, Fill::kIntegers}, {images, Fill::kIntegers}});
    const TensorDesc many(dtype, {kManyRows, kManyColumns});
    for (const int64_t worst : {0, 3})
      list.add(kRowScore, RowScoreAttrs{worst}, cat(many.text(), " worst ", worst, " rankings"),
               {{many, Fill::kRankings}, {many, Fill::kZeros}})
          .is_large = true;
    for (const Rows& rows : kRows) {
      const TensorDesc desc(dtype, {rows.B, rows.D});
      const std::string text = cat(name(dtype), " ", rows.B, "x", rows.D);
      list.add(kRowScore, RowScoreAttrs{0}, text + " uniform", {{desc}, {desc}}).has_rows = {true,
                                                                                             true};
      for (const int64_t worst : {1, 3, 32}) {
        if (worst > rows.D) continue;
        // Rankings: errors far apart, so that their order is certain. Integers: many ties, which go
        // to the smaller index.
        Case& ranked =
            list.add(kRowScore, RowScoreAttrs{worst}, cat(text, " worst ", worst, " rankings"),
                     {{desc, Fill::kRankings}, {desc, Fill::kZeros}});
        ranked.has_rows = {true, true};
        ranked.is_quick = rows.B == 7;
        list.add(kRowScore, RowScoreAttrs{worst}, cat(text, " worst ", worst, " integers"),
                 {{desc, Fill::kIntegers}, {desc, Fill::kIntegers}});
        Case& broken =
            list.add(kRowScore, RowScoreAttrs{worst}, cat(text, " worst ", worst, " broken"),
                     {{desc, Fill::kBroken}, {desc, Fill::kBroken}});
        broken.has_rows = {true, true};
        broken.is_quick = rows.B == 7;
      }
    }
  }
}

Case& add_gather(CaseList& list, const GatherAttrs& attrs, const TensorDesc& source, Fill order) {
  const Fill fill = source.dtype() == DType::kU8 ? Fill::kBytes : Fill::kUniform;
  const TensorDesc feature(DType::kF32, {row_elems(source)});
  const int64_t N = source.extent(0);
  std::vector<Operand> in = {{source, fill}};
  if (attrs.scaled) in.insert(in.end(), {{feature, Fill::kUnit}, {feature, Fill::kUniform}});
  if (attrs.indexed) {
    in.push_back({TensorDesc(DType::kU32, {N}), order});
    in.push_back({step_state_desc(), Fill::kState});
  }
  return list.add(
      kGather, attrs,
      cat(name(attrs.dtype), " ", attrs.rows, " of ", source.text(),
          attrs.scaled ? "" : " not scaled", attrs.indexed ? cat(" by ", name(order)) : ""),
      in);
}

void list_gather(CaseList& list) {
  for (const DType source : {DType::kU8, DType::kF32}) {
    for (const DType dtype : {DType::kF32, DType::kBf16}) {
      for (const Rows& rows : kRows) {
        for (const bool scaled : {true, false}) {
          add_gather(list, {rows.B, false, dtype, scaled}, {source, {rows.B, rows.D}},
                     Fill::kGarbage);
          // The state of Fill::kState begins at place 3 of the order.
          add_gather(list, {rows.B, true, dtype, scaled}, {source, {rows.B + 9, rows.D}},
                     Fill::kPermutation)
              .is_quick = rows.B == 7;
        }
      }
      add_gather(list, {4, false, dtype}, {source, {9, 33}}, Fill::kGarbage);
      add_gather(list, {kManyRows, true, dtype}, {source, {kManyRows + 9, kManyColumns}},
                 Fill::kPermutation)
          .is_large = true;
      add_gather(list, {4, true, dtype}, {source, {16, 3, 2, 5}}, Fill::kPermutation);
      for (const bool scaled : {true, false}) {
        add_gather(list, {12, true, dtype, scaled}, {source, {16, 33}}, Fill::kBadOrder);
        // Beyond the end of the order: rows of NaN.
        add_gather(list, {16, true, dtype, scaled}, {source, {16, 33}}, Fill::kPermutation);
      }
    }
  }
}

}  // namespace

constinit const OpCases kRowScoreCases = {&kRowScore, DIABOLO_REFERENCE_WITHOUT_TF32(row_score),
                                          list_row_score};
constinit const OpCases kGatherCases = {
    &kGather, {gather<Tracked<InF32>>, nullptr, nullptr}, list_gather};

}  // namespace diabolo::selftest
