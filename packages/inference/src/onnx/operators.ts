import { InspectionError } from "./inspection-error.ts";

const toSet = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/u));

/** Every operator that the domain ai.onnx has or had, operator sets 1 to 26 (docs/Operators.md and docs/Changelog.md of onnx). */
const onnxOperators = toSet(`
  Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
  Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike
  Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant
  ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace
  DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor
  GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
  GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity
  If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual
  Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool
  MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
  NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement
  Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike
  RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
  ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence
  RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct
  SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size
  Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze
  StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TensorScatter TfIdfVectorizer
  ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
`);

const onnxMlOperators = toSet(`
  ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
  LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
  TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
`);

/**
 * Operators of com.microsoft that quantizers and the optimizer of ONNX Runtime write. Left out on purpose:
 * EPContext and Snpe (they name files or hold compiled code), training, tokenizers, search loops.
 */
const microsoftOperators = toSet(`
  Attention BiasGelu BiasSoftmax DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul
  EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatherBlockQuantized
  Gelu GroupNorm GroupQueryAttention MatMulBnb4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits MoE MulInteger
  MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention PackedMultiHeadAttention Pad QAttention
  QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
  QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
  QLinearWhere QMoE QuantizeLinear QuickGelu Range ReduceSumInteger RelativePositionBias RotaryEmbedding
  SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization Trilu
`);

const operatorsByDomain: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["", onnxOperators],
  ["ai.onnx.ml", onnxMlOperators],
  ["com.microsoft", microsoftOperators],
]);

/** As people write them: "ai.onnx" for the empty domain. */
export const knownDomains: readonly string[] = [...operatorsByDomain.keys()].map((domain) => domain || "ai.onnx");

/** The names that the check knows in a domain. */
export function toKnownOperators(domain: string): readonly string[] {
  return [...(operatorsByDomain.get(toDomain(domain)) ?? [])];
}

/** Highest operator set per domain that ONNX Runtime 1.30.0 loads; it refuses the next one (tried one by one). */
const maxOpset: ReadonlyMap<string, number> = new Map([
  ["", 26],
  ["ai.onnx.ml", 5],
  ["com.microsoft", 1],
]);

/** Highest IR version that ONNX Runtime 1.30.0 loads. */
export const maxIrVersion = 13;

/** "ai.onnx" is the long form of the empty domain (IR.md, "Operator Sets"). */
export function toDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

export function toOperatorName(domain: string, operator: string): string {
  return domain === "" ? operator : `${domain}::${operator}`;
}

export function isKnownOperator(domain: string, operator: string): boolean {
  return operatorsByDomain.get(domain)?.has(operator) ?? false;
}

/**
 * Domains in which the runtime has, or may have, operators of its own (schemas of ONNX Runtime 1.30.0: `ai.onnx`,
 * `com.microsoft`, `com.ms.internal.nhwc`, `org.pytorch.aten` and what lies below them). Nothing but the lists above is used of
 * them, and a model defines nothing in them: the runtime would run its own operator in the place of the model's function.
 */
export function isRuntimeDomain(domain: string): boolean {
  return domain === "" || /^(?:ai\.onnx|com\.microsoft|com\.ms|org\.pytorch)(?:\.|$)/u.test(domain);
}

/** Refuses a version that the runtime would refuse. A domain that nobody knows is harmless until a node uses it. */
export function checkOpset(domain: string, version: number): void {
  const max = maxOpset.get(domain);
  if (max === undefined) return;
  if (version < 1 || version > max) {
    throw new InspectionError(
      "unsupported_opset",
      `operator set ${version} of ${domain || "ai.onnx"}; supported: 1 to ${max}`,
    );
  }
}
