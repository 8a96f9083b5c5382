// to = weights @ terms, one thread for each element; terms of weight 0 are not read.
// combine.ptx is made of this by `nvcc -ptx -arch=compute_75 combine.cu`, its .version lowered to 7.0, so that every
// driver since CUDA 11 compiles it for the device at hand.
extern "C" __global__ void combine(
    const float *weights, const float *terms, float *to, unsigned int count, unsigned long long elements) {
  unsigned long long i = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x;
  if (i >= elements) return;
  float sum = 0.0f;
#pragma unroll 1
  for (unsigned int k = 0; k < count; ++k) {
    float weight = weights[k];
    if (weight != 0.0f) sum = fmaf(weight, terms[k * elements + i], sum);
  }
  to[i] = sum;
}
