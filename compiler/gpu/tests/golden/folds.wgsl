var<workgroup> shared_v14: array<u32, 256>;
@group(0) @binding(0) var<storage, read_write> v1: array<u32>;
struct info_st { scalars_i32: array<i32, 6>, static_meta: array<u32, 2> }
@group(0) @binding(1) var<storage, read> info_var: info_st;
@compute @workgroup_size(256, 1, 1)
fn stm_folds(@builtin(local_invocation_index) v253: u32, @builtin(workgroup_id) v255: vec3<u32>, @builtin(num_workgroups) v257: vec3<u32>) {
let v269 = &v1;
let v2 = info_var.scalars_i32[0];
let v3 = info_var.scalars_i32[1];
let v4 = info_var.scalars_i32[2];
let v5 = info_var.scalars_i32[3];
let v6 = info_var.scalars_i32[4];
let v256 = v255[2];
let v237 = u32(v256);
let v258 = v257[1];
let v239 = u32(v258);
let v240 = v237 * v239;
let v259 = v257[0];
let v242 = u32(v259);
let v243 = v240 * v242;
let v260 = v255[1];
let v245 = u32(v260);
let v248 = v245 * v242;
let v249 = v243 + v248;
let v262 = v255[0];
let v251 = u32(v262);
let v252 = v249 + v251;
let v8 = u32(v252);
let v254 = v253;
let v10 = u32(v254);
let v11 = bitcast<i32>(v10);
let v12 = i32(0);
let v13 = v11 == v12;
let v231 = &shared_v14;
let v15 = bitcast<u32>(v2);
let v16 = v8 < v15;
if v16 {
var<function> v232_store: f32;
let v232 = &v232_store;
let v18 = u32(0);
let v19 = bitcast<f32>(v18);
*v232 = v19;
var<function> v233_store: f32;
let v233 = &v233_store;
*v233 = v19;
var<function> v234_store: f32;
let v234 = &v234_store;
*v234 = v19;
var<function> v235_store: i32;
let v235 = &v235_store;
*v235 = v12;
let v28 = f32(100.0);
*v232 = v28;
let v29 = *v232;
let v32 = select(v19, v29, v13);
*v232 = v32;
let v33 = i32(256);
let v34 = i32(300);
for(var v35: i32 = v11; v35 < v34; v35 += v33) {
let v36 = bitcast<u32>(v35);
let v39 = bitcast<i32>(v36);
let v40 = u32(4286578688);
let v41 = bitcast<f32>(v40);
*v233 = v41;
let v43 = i32(7);
let v44 = i32(1);
for(var v45: i32 = v12; v45 < v43; v45 += v44) {
let v48 = v39 * v43;
let v52 = v48 + v45;
let v53 = v3 + v52;
let v54 = u32(v53);
let v55 = &(*v269)[v54];
let v56 = *v55;
let v57 = bitcast<f32>(v56);
let v58 = *v233;
let v59 = v57 < v58;
let v60 = select(v57, v58, v59);
*v233 = v60;

}
let v61 = *v233;
let v62 = *v232;
let v63 = v62 + v61;
*v232 = v63;

}
let v64 = *v232;
let v65 = bitcast<u32>(v64);
let v66 = u32(v11);
let v67 = &(*v231)[v66];
*v67 = v65;
workgroupBarrier();
let v69 = i32(8);
let v70 = i32(1);
for(var v71: i32 = v12; v71 < v69; v71 += v70) {
let v266 = u32(128);
let v74 = bitcast<u32>(v71);
let v75 = v266 >> u32(v74);
let v76 = bitcast<i32>(v75);
let v77 = v11 < v76;
if v77 {
let v78 = v11 + v76;
let v81 = *v67;
let v82 = bitcast<f32>(v81);
let v83 = u32(v78);
let v84 = &(*v231)[v83];
let v85 = *v84;
let v86 = bitcast<f32>(v85);
let v87 = v82 + v86;
let v88 = bitcast<u32>(v87);
*v67 = v88;

}
workgroupBarrier();

}
let v265 = u32(0);
let v93 = &(*v231)[v265];
let v94 = *v93;
let v95 = bitcast<f32>(v94);
*v232 = v95;
workgroupBarrier();
let v96 = *v232;
if v13 {
let v99 = bitcast<u32>(v96);
let v100 = u32(v4);
let v101 = &(*v269)[v100];
*v101 = v99;

}
let v102 = u32(2139095040);
let v103 = bitcast<f32>(v102);
*v234 = v103;
let v104 = *v234;
let v107 = select(v103, v104, v13);
*v234 = v107;
let v109 = i32(2100);
for(var v110: i32 = v11; v110 < v109; v110 += v33) {
let v111 = bitcast<u32>(v110);
let v112 = u32(7);
let v113 = v111 % v112;
let v115 = v111 / v112;
let v116 = bitcast<i32>(v113);
let v119 = bitcast<i32>(v115);
let v121 = i32(7);
let v122 = v119 * v121;
let v126 = v122 + v116;
let v127 = v3 + v126;
let v128 = u32(v127);
let v129 = &(*v269)[v128];
let v130 = *v129;
let v131 = bitcast<f32>(v130);
let v132 = *v234;
let v133 = v132 < v131;
let v134 = select(v131, v132, v133);
*v234 = v134;

}
let v135 = *v234;
let v136 = bitcast<u32>(v135);
*v67 = v136;
workgroupBarrier();
for(var v142: i32 = v12; v142 < v69; v142 += v70) {
let v267 = u32(128);
let v145 = bitcast<u32>(v142);
let v146 = v267 >> u32(v145);
let v147 = bitcast<i32>(v146);
let v148 = v11 < v147;
if v148 {
let v149 = v11 + v147;
let v152 = *v67;
let v153 = bitcast<f32>(v152);
let v154 = u32(v149);
let v155 = &(*v231)[v154];
let v156 = *v155;
let v157 = bitcast<f32>(v156);
let v158 = v153 < v157;
let v159 = select(v157, v153, v158);
let v160 = bitcast<u32>(v159);
*v67 = v160;

}
workgroupBarrier();

}
let v166 = *v93;
let v167 = bitcast<f32>(v166);
*v234 = v167;
workgroupBarrier();
let v168 = *v235;
let v170 = select(v12, v168, v13);
*v235 = v170;
for(var v173: i32 = v11; v173 < v34; v173 += v33) {
let v174 = bitcast<u32>(v173);
let v177 = bitcast<i32>(v174);
let v182 = v6 + v177;
let v183 = u32(v182);
let v184 = &(*v269)[v183];
let v185 = *v184;
let v186 = bitcast<i32>(v185);
let v187 = *v235;
let v188 = v187 + v186;
*v235 = v188;

}
let v189 = *v235;
let v190 = bitcast<u32>(v189);
*v67 = v190;
workgroupBarrier();
for(var v196: i32 = v12; v196 < v69; v196 += v70) {
let v268 = u32(128);
let v199 = bitcast<u32>(v196);
let v200 = v268 >> u32(v199);
let v201 = bitcast<i32>(v200);
let v202 = v11 < v201;
if v202 {
let v203 = v11 + v201;
let v206 = *v67;
let v207 = bitcast<i32>(v206);
let v208 = u32(v203);
let v209 = &(*v231)[v208];
let v210 = *v209;
let v211 = bitcast<i32>(v210);
let v212 = v207 + v211;
let v213 = bitcast<u32>(v212);
*v67 = v213;

}
workgroupBarrier();

}
let v219 = *v93;
let v220 = bitcast<i32>(v219);
*v235 = v220;
workgroupBarrier();
let v221 = *v234;
let v222 = *v235;
let v223 = f32(v222);
let v224 = v221 + v223;
if v13 {
let v227 = bitcast<u32>(v224);
let v228 = u32(v5);
let v229 = &(*v269)[v228];
*v229 = v227;

}

}
return;

}
