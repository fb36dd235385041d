@group(0) @binding(0) var<storage, read_write> v1: array<u32>;
struct info_st { scalars_i32: array<i32, 4>, static_meta: array<u32, 2> }
@group(0) @binding(1) var<storage, read> info_var: info_st;
@compute @workgroup_size(64, 1, 1)
fn stm_row_softmax(@builtin(workgroup_id) v128: vec3<u32>, @builtin(num_workgroups) v130: vec3<u32>, @builtin(local_invocation_index) v137: u32) {
let v140 = &v1;
let v2 = info_var.scalars_i32[0];
let v3 = info_var.scalars_i32[1];
let v4 = info_var.scalars_i32[2];
let v129 = v128[2];
let v106 = u32(v129);
let v131 = v130[1];
let v108 = u32(v131);
let v109 = v106 * v108;
let v132 = v130[0];
let v111 = u32(v132);
let v112 = v109 * v111;
let v133 = v128[1];
let v114 = u32(v133);
let v117 = v114 * v111;
let v118 = v112 + v117;
let v135 = v128[0];
let v120 = u32(v135);
let v121 = v118 + v120;
let v139 = u32(64);
let v124 = v121 * v139;
let v138 = v137;
let v126 = u32(v138);
let v127 = v124 + v126;
let v6 = u32(v127);
let v7 = bitcast<u32>(v2);
let v8 = v6 < v7;
if v8 {
var<function> v103_store: f32;
let v103 = &v103_store;
let v10 = u32(0);
let v11 = bitcast<f32>(v10);
*v103 = v11;
var<function> v104_store: f32;
let v104 = &v104_store;
*v104 = v11;
let v17 = bitcast<i32>(v6);
let v18 = u32(4286578688);
let v19 = bitcast<f32>(v18);
*v103 = v19;
*v104 = v11;
let v22 = i32(0);
let v23 = i32(5);
let v24 = i32(1);
for(var v25: i32 = v22; v25 < v23; v25 += v24) {
let v28 = v17 * v23;
let v32 = v28 + v25;
let v33 = v3 + v32;
let v34 = u32(v33);
let v35 = &(*v140)[v34];
let v36 = *v35;
let v37 = bitcast<f32>(v36);
let v38 = *v103;
let v39 = v37 < v38;
let v40 = select(v37, v38, v39);
*v103 = v40;

}
let v41 = *v103;
for(var v45: i32 = v22; v45 < v23; v45 += v24) {
let v48 = v17 * v23;
let v52 = v48 + v45;
let v53 = v3 + v52;
let v54 = u32(v53);
let v55 = &(*v140)[v54];
let v56 = *v55;
let v57 = bitcast<f32>(v56);
let v58 = v57 - v41;
let v59 = exp(v58);
let v67 = v4 + v52;
let v68 = bitcast<u32>(v59);
let v69 = u32(v67);
let v70 = &(*v140)[v69];
*v70 = v68;
let v71 = *v104;
let v72 = v71 + v59;
*v104 = v72;

}
let v73 = *v104;
for(var v77: i32 = v22; v77 < v23; v77 += v24) {
let v80 = v17 * v23;
let v84 = v80 + v77;
let v85 = v4 + v84;
let v86 = u32(v85);
let v87 = &(*v140)[v86];
let v88 = *v87;
let v89 = bitcast<f32>(v88);
let v90 = v89 / v73;
let v99 = bitcast<u32>(v90);
*v87 = v99;

}

}
return;

}
