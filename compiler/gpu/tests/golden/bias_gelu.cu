typedef unsigned int uint32_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned long long int uint64_t;
typedef signed char int8_t;
typedef signed short int16_t;
typedef signed int int32_t;
typedef signed long long int int64_t;

template <typename T, size_t N>
struct array {
    T data[N];
    __device__ T& operator[](size_t i) { return data[i]; }
    __device__ const T& operator[](size_t i) const { return data[i]; }
};


typedef struct CUtensorMap_st {
alignas(128) unsigned long long int opaque[16];
} CUtensorMap;

struct info_st {
    int32_t scalars_i32[4];uint32_t static_meta[2];
};
extern "C" __global__ void __launch_bounds__(64)  stm_bias_gelu(uint32_t * const __restrict__ v1, info_st const* const __restrict__ v57) {
uint32_t const* const dynamic_meta_v59 = reinterpret_cast<uint32_t const*>(v57 + 1);
const info_st& info_v58 = *v57;int32_t const v60 = info_v58.scalars_i32[0];
int32_t const v61 = info_v58.scalars_i32[1];
int32_t const v62 = info_v58.scalars_i32[2];
int32_t const v63 = info_v58.scalars_i32[3];
uint32_t const v65 = blockIdx.z;
uint32_t const v66 = uint32_t(v65);
uint32_t const v67 = gridDim.y;
uint32_t const v68 = uint32_t(v67);
uint32_t const v69 = v66 * v68;
uint32_t const v70 = gridDim.x;
uint32_t const v71 = uint32_t(v70);
uint32_t const v72 = v69 * v71;
uint32_t const v73 = blockIdx.y;
uint32_t const v74 = uint32_t(v73);
uint32_t const v77 = v74 * v71;
uint32_t const v78 = v72 + v77;
uint32_t const v79 = blockIdx.x;
uint32_t const v80 = uint32_t(v79);
uint32_t const v81 = v78 + v80;
uint32_t const v108 = 64;
uint32_t const v84 = v81 * v108;
uint32_t const v89 = threadIdx.x;
uint32_t const v86 = uint32_t(v89);
uint32_t const v87 = v84 + v86;
uint32_t const v7 = uint32_t(v87);
uint32_t const v8 = reinterpret_cast<const uint32_t&>(v60);
bool const v9 = v7 < v8;
if(v9) {
uint32_t const v10 = 5;
uint32_t const v11 = v7 % v10;
uint32_t const v13 = v7 / v10;
int32_t const v14 = reinterpret_cast<const int32_t&>(v11);
int32_t const v17 = reinterpret_cast<const int32_t&>(v13);
int32_t const v19 = 5;
int32_t const v20 = v17 * v19;
int32_t const v24 = v20 + v14;
int32_t const v25 = v61 + v24;
uint32_t const v26 = uint32_t(v25);
uint32_t * const v27 = &v1[v26];
uint32_t const v28 = *v27;
float const v29 = reinterpret_cast<const float&>(v28);
int32_t const v34 = v62 + v14;
uint32_t const v35 = uint32_t(v34);
uint32_t * const v36 = &v1[v35];
uint32_t const v37 = *v36;
float const v38 = reinterpret_cast<const float&>(v37);
float const v39 = v29 + v38;
float const v40 = 0.707106769;
float const v41 = v39 * v40;
float const v42 = erf(v41);float const v43 = 0.5;
float const v44 = v39 * v43;
float const v45 = fma(v44, v42, v44);
int32_t const v53 = v63 + v24;
uint32_t const v54 = reinterpret_cast<const uint32_t&>(v45);
uint32_t const v55 = uint32_t(v53);
uint32_t * const v56 = &v1[v55];
*v56 = v54;
}
return;
}
