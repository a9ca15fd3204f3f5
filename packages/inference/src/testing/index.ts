export {
  convModel,
  doublingModel,
  dynamicQuantizationModel,
  endlessLoopModel,
  externalDataModel,
  float16Model,
  hungryLoadModel,
  hungryModel,
  identityModel,
  identityOf,
  int4Model,
  mlpModel,
  nestedIfModel,
  squareRootModel,
  upperCaseModel,
  type ConvOptions,
  type LoopOptions,
  type MlpOptions,
} from "./example-models.ts";
export {
  buildOnnxModel,
  onnxDataType,
  type WritableDataType,
  type WrittenAttribute,
  type WrittenFunction,
  type WrittenGraph,
  type WrittenModel,
  type WrittenNode,
  type WrittenTensor,
  type WrittenValue,
} from "./onnx-writer.ts";
export { detectorModel } from "./detector-model.ts";
export { forgedModels, type ForgedModel } from "./forged-models.ts";
export { limitModel } from "./limit-model.ts";
export { mutateModel, toModelMutation, type ModelMutation } from "./model-mutations.ts";
export { ProtobufWriter } from "./protobuf-writer.ts";
export { createFakeRuntime, type FakeModel } from "./fake-runtime.ts";
export { FailingDriver, whyNoFailingDriver } from "./failing-driver.ts";
