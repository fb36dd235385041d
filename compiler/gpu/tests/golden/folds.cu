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
    int32_t scalars_i32[6];uint32_t static_meta[2];
};
extern "C" __global__ void __launch_bounds__(256)  stm_folds(uint32_t * const __restrict__ v1, info_st const* const __restrict__ v230) {
extern __shared__ __align__(4) char v238[];uint32_t const* const dynamic_meta_v232 = reinterpret_cast<uint32_t const*>(v230 + 1);
const info_st& info_v231 = *v230;int32_t const v233 = info_v231.scalars_i32[0];
int32_t const v234 = info_v231.scalars_i32[1];
int32_t const v235 = info_v231.scalars_i32[2];
int32_t const v236 = info_v231.scalars_i32[3];
int32_t const v237 = info_v231.scalars_i32[4];
uint32_t const v245 = blockIdx.z;
uint32_t const v246 = uint32_t(v245);
uint32_t const v247 = gridDim.y;
uint32_t const v248 = uint32_t(v247);
uint32_t const v249 = v246 * v248;
uint32_t const v250 = gridDim.x;
uint32_t const v251 = uint32_t(v250);
uint32_t const v252 = v249 * v251;
uint32_t const v253 = blockIdx.y;
uint32_t const v254 = uint32_t(v253);
uint32_t const v257 = v254 * v251;
uint32_t const v258 = v252 + v257;
uint32_t const v259 = blockIdx.x;
uint32_t const v260 = uint32_t(v259);
uint32_t const v261 = v258 + v260;
uint32_t const v8 = uint32_t(v261);
uint32_t const v262 = threadIdx.x;
uint32_t const v273 = 0;
int32_t const v11 = reinterpret_cast<const int32_t&>(v262);
int32_t const v12 = 0;
bool const v13 = v11 == v12;
array<uint32_t, 256> * const v239 = reinterpret_cast<array<uint32_t, 256> *>(&v238[0]);
uint32_t const v15 = reinterpret_cast<const uint32_t&>(v233);
bool const v16 = v8 < v15;
if(v16) {
float v241_store;
float * v241 = &v241_store;float const v19 = reinterpret_cast<const float&>(v273);
*v241 = v19;
float v242_store;
float * v242 = &v242_store;*v242 = v19;
float v243_store;
float * v243 = &v243_store;*v243 = v19;
int32_t v244_store;
int32_t * v244 = &v244_store;*v244 = v12;
float const v28 = 100;
*v241 = v28;
float const v29 = *v241;
float const v32 = v13 ? v29 : v19;
*v241 = v32;
int32_t const v33 = 256;
int32_t const v34 = 300;
for(int32_t v35 = v11; v35 < v34; v35 += v33) {
uint32_t const v36 = reinterpret_cast<const uint32_t&>(v35);
int32_t const v39 = reinterpret_cast<const int32_t&>(v36);
uint32_t const v40 = 4286578688;
float const v41 = reinterpret_cast<const float&>(v40);
*v242 = v41;
int32_t const v43 = 7;
int32_t const v44 = 1;
for(int32_t v45 = v12; v45 < v43; v45 += v44) {
int32_t const v48 = v39 * v43;
int32_t const v52 = v48 + v45;
int32_t const v53 = v234 + v52;
uint32_t const v54 = uint32_t(v53);
uint32_t * const v55 = &v1[v54];
uint32_t const v56 = *v55;
float const v57 = reinterpret_cast<const float&>(v56);
float const v58 = *v242;
bool const v59 = v57 < v58;
float const v60 = v59 ? v58 : v57;
*v242 = v60;
}
float const v61 = *v242;
float const v62 = *v241;
float const v63 = v62 + v61;
*v241 = v63;
}
float const v64 = *v241;
uint32_t const v65 = reinterpret_cast<const uint32_t&>(v64);
uint32_t const v66 = uint32_t(v11);
uint32_t * const v67 = &(*v239)[v66];
*v67 = v65;
__syncthreads();
int32_t const v69 = 8;
int32_t const v70 = 1;
for(int32_t v71 = v12; v71 < v69; v71 += v70) {
uint32_t const v284 = 128;
uint32_t const v74 = reinterpret_cast<const uint32_t&>(v71);
uint32_t const v75 = v284 >> v74;
int32_t const v76 = reinterpret_cast<const int32_t&>(v75);
bool const v77 = v11 < v76;
if(v77) {
int32_t const v78 = v11 + v76;
uint32_t const v81 = *v67;
float const v82 = reinterpret_cast<const float&>(v81);
uint32_t const v83 = uint32_t(v78);
uint32_t * const v84 = &(*v239)[v83];
uint32_t const v85 = *v84;
float const v86 = reinterpret_cast<const float&>(v85);
float const v87 = v82 + v86;
uint32_t const v88 = reinterpret_cast<const uint32_t&>(v87);
*v67 = v88;
}
__syncthreads();
}
uint32_t const v283 = 0;
uint32_t * const v93 = &(*v239)[v283];
uint32_t const v94 = *v93;
float const v95 = reinterpret_cast<const float&>(v94);
*v241 = v95;
__syncthreads();
float const v96 = *v241;
if(v13) {
uint32_t const v99 = reinterpret_cast<const uint32_t&>(v96);
uint32_t const v100 = uint32_t(v235);
uint32_t * const v101 = &v1[v100];
*v101 = v99;
}
uint32_t const v102 = 2139095040;
float const v103 = reinterpret_cast<const float&>(v102);
*v243 = v103;
float const v104 = *v243;
float const v107 = v13 ? v104 : v103;
*v243 = v107;
int32_t const v109 = 2100;
for(int32_t v110 = v11; v110 < v109; v110 += v33) {
uint32_t const v111 = reinterpret_cast<const uint32_t&>(v110);
uint32_t const v112 = 7;
uint32_t const v113 = v111 % v112;
uint32_t const v115 = v111 / v112;
int32_t const v116 = reinterpret_cast<const int32_t&>(v113);
int32_t const v119 = reinterpret_cast<const int32_t&>(v115);
int32_t const v121 = 7;
int32_t const v122 = v119 * v121;
int32_t const v126 = v122 + v116;
int32_t const v127 = v234 + v126;
uint32_t const v128 = uint32_t(v127);
uint32_t * const v129 = &v1[v128];
uint32_t const v130 = *v129;
float const v131 = reinterpret_cast<const float&>(v130);
float const v132 = *v243;
bool const v133 = v132 < v131;
float const v134 = v133 ? v132 : v131;
*v243 = v134;
}
float const v135 = *v243;
uint32_t const v136 = reinterpret_cast<const uint32_t&>(v135);
*v67 = v136;
__syncthreads();
for(int32_t v142 = v12; v142 < v69; v142 += v70) {
uint32_t const v285 = 128;
uint32_t const v145 = reinterpret_cast<const uint32_t&>(v142);
uint32_t const v146 = v285 >> v145;
int32_t const v147 = reinterpret_cast<const int32_t&>(v146);
bool const v148 = v11 < v147;
if(v148) {
int32_t const v149 = v11 + v147;
uint32_t const v152 = *v67;
float const v153 = reinterpret_cast<const float&>(v152);
uint32_t const v154 = uint32_t(v149);
uint32_t * const v155 = &(*v239)[v154];
uint32_t const v156 = *v155;
float const v157 = reinterpret_cast<const float&>(v156);
bool const v158 = v153 < v157;
float const v159 = v158 ? v153 : v157;
uint32_t const v160 = reinterpret_cast<const uint32_t&>(v159);
*v67 = v160;
}
__syncthreads();
}
uint32_t const v166 = *v93;
float const v167 = reinterpret_cast<const float&>(v166);
*v243 = v167;
__syncthreads();
int32_t const v168 = *v244;
int32_t const v170 = v13 ? v168 : v12;
*v244 = v170;
for(int32_t v173 = v11; v173 < v34; v173 += v33) {
uint32_t const v174 = reinterpret_cast<const uint32_t&>(v173);
int32_t const v177 = reinterpret_cast<const int32_t&>(v174);
int32_t const v182 = v237 + v177;
uint32_t const v183 = uint32_t(v182);
uint32_t * const v184 = &v1[v183];
uint32_t const v185 = *v184;
int32_t const v186 = reinterpret_cast<const int32_t&>(v185);
int32_t const v187 = *v244;
int32_t const v188 = v187 + v186;
*v244 = v188;
}
int32_t const v189 = *v244;
uint32_t const v190 = reinterpret_cast<const uint32_t&>(v189);
*v67 = v190;
__syncthreads();
for(int32_t v196 = v12; v196 < v69; v196 += v70) {
uint32_t const v286 = 128;
uint32_t const v199 = reinterpret_cast<const uint32_t&>(v196);
uint32_t const v200 = v286 >> v199;
int32_t const v201 = reinterpret_cast<const int32_t&>(v200);
bool const v202 = v11 < v201;
if(v202) {
int32_t const v203 = v11 + v201;
uint32_t const v206 = *v67;
int32_t const v207 = reinterpret_cast<const int32_t&>(v206);
uint32_t const v208 = uint32_t(v203);
uint32_t * const v209 = &(*v239)[v208];
uint32_t const v210 = *v209;
int32_t const v211 = reinterpret_cast<const int32_t&>(v210);
int32_t const v212 = v207 + v211;
uint32_t const v213 = reinterpret_cast<const uint32_t&>(v212);
*v67 = v213;
}
__syncthreads();
}
uint32_t const v219 = *v93;
int32_t const v220 = reinterpret_cast<const int32_t&>(v219);
*v244 = v220;
__syncthreads();
float const v221 = *v243;
int32_t const v222 = *v244;
float const v223 = float(v222);
float const v224 = v221 + v223;
if(v13) {
uint32_t const v227 = reinterpret_cast<const uint32_t&>(v224);
uint32_t const v228 = uint32_t(v236);
uint32_t * const v229 = &v1[v228];
*v229 = v227;
}
}
return;
}
